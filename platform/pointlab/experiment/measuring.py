"""What a transfer's classifier makes of clouds once every choice is made: of each role, and when corrupted.

On validation it is told what the shifts do to it, for studies and searches to choose by; the test splits are
read by `measure_test` alone, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pointlab.evaluation.baselines import published_with
from pointlab.experiment.class_map import on_shared_classes
from pointlab.experiment.classifier import Answers, Classifier, read_classifier
from pointlab.experiment.corrupted import CorruptedSplit, withstand
from pointlab.experiment.going_on import Heed, heed_nothing, heeding
from pointlab.experiment.mistaken import publish_mistakes
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.segmenting import measure_segmentation
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask, open_roles
from pointlab.experiment.voting import measure_votes
from pointlab.storage import Storage
from pointlab.training.numerics import prepare_process

OF_THE_CLOUDS = ("suite hash", "content hash", "few points")
"""Notes that tell the clouds of one split; those of test have these names, as in an evaluation."""


def measure_validation(task: TransferTask) -> Findings:
    """What the finished classifier makes of validation clouds under each shift, as far as there are any with
    labels. Of the target itself its protocol has told."""
    run, context = task.resolved.run, task.context
    shifted = [role for role in task.data if role != "target" and _is_labelled(task.data[role], "validation")]
    is_labelled = _is_labelled(task.target, "validation")
    is_corrupted = task.experiment.corruptions is not None and is_labelled
    is_shown = not task.experiment.test and is_labelled
    if not (shifted or is_corrupted or is_shown):
        return Findings({})
    classifier = read_classifier(task.experiment, run, context.storage)
    asked = _Asked(task.experiment, classifier, task.data, "validation", context.device)
    if is_shown:
        asked.keep_mistakes(context.storage, run, asked.answers("target"))
    found = asked.findings({role: asked.answers(role) for role in shifted})
    if is_corrupted:
        found.add(asked.corrupted(heeding(run, context, "under corruptions")))
    return found


def measure_test(
    resolved: Resolved[TransferExperiment],
    run: str,
    storage: Storage,
    device: torch.device,
    heed: Heed = heed_nothing,
    *,
    asked_by: str = "",
) -> Findings:
    """Figures of the model stored by `run` on the test split of every role, and on that of the target under
    corruptions: the one reading of it.

    Mistakes are kept with the run `asked_by`, a search's, as its trial has those of validation; or `run`.
    """
    experiment, data = resolved.experiment, open_roles(resolved, storage)
    prepare_process(experiment.training.num_threads)
    if experiment.segments:
        figures = {
            role: measure_segmentation(experiment, run, storage, entry, device)
            for role, entry in data.items()
        }
        return Findings(_named(figures, "test"))
    asked = _Asked(experiment, read_classifier(experiment, run, storage), data, "test", device)
    answers = {role: asked.answers(role) for role in data}
    asked.keep_mistakes(storage, asked_by or run, answers["target"])
    found = asked.findings(answers)
    if experiment.corruptions is not None:
        found.add(asked.corrupted(heed))
    return found


@dataclass(frozen=True)
class _Asked:
    """A classifier, and one split of the sets that it is asked about."""

    experiment: TransferExperiment
    classifier: Classifier
    data: Mapping[str, Data]
    split: str
    device: torch.device

    def answers(self, role: str) -> Answers:
        """What it says of the clouds of a role as they are."""
        size, inputs = self.experiment.training.batch_size, self.classifier.backbone.inputs
        data = self.data[role]
        return self.classifier.answer(data.batches(self.split, size, inputs)(), self.device, data.shared)

    def findings(self, answers: Mapping[str, Answers]) -> Findings:
        """Figures of answers by role; on test also of votes, where the experiment asks for them."""
        figures, notes = {}, dict[str, str]()
        for role, said in answers.items():
            data = self.data[role]
            figures[role] = said.metrics()
            if self.split == "test":
                figures[role] |= measure_votes(self.experiment, self.classifier, data, self.device)
            notes |= on_shared_classes(data, self.split, self.classifier.class_names)
        return Findings(_named(figures, self.split), notes=notes)

    def keep_mistakes(self, storage: Storage, run: str, answers: Answers) -> None:
        """Store what the page of the run shows of the target's clouds that were taken for something else."""
        publish_mistakes(storage, run, answers, self.data["target"], self.split)

    def corrupted(self, heed: Heed) -> Findings:
        """All figures under the suite as `corrupted-<split>/...`, and what is to be known of its clouds."""
        suite = self.experiment.corruptions
        assert suite is not None, "asked for where there is one"
        size = self.experiment.training.batch_size
        shown = CorruptedSplit(self.data["target"], self.split, suite, size)
        baseline = published_with(suite.name, suite.severities)
        found = withstand(self.classifier, shown, self.device, baseline=baseline, heed=heed)
        figures = found.metrics()
        figures.pop("accuracy")  # on clean clouds, which has another name already
        notes = {
            f"{self.split} {name}" if name in OF_THE_CLOUDS and self.split != "test" else name: told
            for name, told in found.notes.items()
        }
        return Findings(_named({"corrupted": figures}, self.split), notes=notes)


def _named(figures: Mapping[str, Mapping[str, float]], split: str) -> dict[str, float]:
    """Figures by role under the names that they have in a record."""
    return {
        f"{split if role == 'target' else f'{role}-{split}'}/{name}": value
        for role, of_role in figures.items()
        for name, value in of_role.items()
    }


def _is_labelled(data: Data, split: str) -> bool:
    """Whether the set has the split, with a label on each of its clouds, and one of a shared class."""
    if not data.manifest.rows.get(split):
        return False
    labels, rows = data.split(split).labels, data.asked(split)
    return bool((labels >= 0).all()) and (rows is None or len(rows) > 0)
