"""What a reader of an analysis has to know of it: how it was measured, and what its figures favour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pointlab import analysis
from pointlab.analysis.similarity import num_parts
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.analyse import AnalyseExperiment, SubjectConfig
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.transfer import TransferExperiment

HEADS = {"own": "its own", "fresh": "a new linear one"}


@dataclass(frozen=True)
class Pass:
    """An analysis that was made: its settings, its findings, and the clouds that probes were fit on."""

    experiment: AnalyseExperiment
    found: analysis.Analysis
    subjects: Sequence[analysis.Subject]
    fit_labels: Int64[np.ndarray, " clouds"]
    has_normals: bool

    def notes(self) -> dict[str, str]:
        """A text for each thing that is to be known; nothing on measures that were not taken."""
        read = [self._read("fit on", "train", self.found.num_fit)]
        read.append(self._read("score on", self.experiment.split, self.found.num_score))
        notes = {
            "clouds": ", ".join(filter(None, read)) or "none: no measure needs any",
            "points of a cloud": str(self.experiment.points_shown),
        }
        measures = self.experiment.analysis.measures
        return (
            notes
            | (self._of_gradients() if "gradients" in measures else {})
            | (self._of_probes() if "probes" in measures else {})
            | (self._of_similarity() if "similarity" in measures else {})
            | (self._of_normals() if "normals" in measures else {})
            | (self._of_selection() if self.found.num_score else {})
        )

    def _read(self, purpose: str, split: str, num_clouds: int) -> str:
        return f"{num_clouds} of {split} to {purpose}" if num_clouds else ""

    def _of_gradients(self) -> dict[str, str]:
        size, num_fit = self.experiment.batch_size, self.found.num_fit
        whole, rest = divmod(num_fit, size)
        left_out = f"; {rest} clouds that fill no batch were left out" if whole and rest else ""
        told = f"mean over {whole or 1} batches of {min(size, num_fit)} clouds{left_out}"
        return {"gradients": told} | {f"head of {one.name}": _head_of(one) for one in self.subjects}

    def _of_probes(self) -> dict[str, str]:
        config = self.experiment.analysis
        notes = {
            "linear probe": f"its penalty was chosen on {config.held_out:.0%} of the train clouds, held out"
            " of the fit; a subject that was trained on this set had seen them",
            "accuracies": "on clouds drawn evenly by class, and so not those of a transfer",
            "nearest neighbours": str(config.num_neighbours),
        }
        smallest = int(np.unique(self.fit_labels, return_counts=True)[1].min())
        if config.num_neighbours > smallest:
            notes["nearest neighbours"] += (
                f": more than the {smallest} clouds to fit on of the smallest class, so that strangers"
                " outvote it; lower analysis.num_neighbours"
            )
        return notes

    def _of_similarity(self) -> dict[str, str]:
        config, num_clouds = self.experiment.analysis, self.found.num_score
        if config.estimator == "biased":
            return {"CKA": f"biased, of all {num_clouds} clouds"}
        parts = num_parts(num_clouds, config.similarity_clouds)
        sizes = (
            f"{num_clouds // parts} clouds or one more"
            if num_clouds % parts
            else f"{num_clouds // parts} clouds"
        )
        return {"CKA": f"unbiased, {parts} mini-batch{'es' if parts > 1 else ''} of {sizes}"}

    def _of_normals(self) -> dict[str, str]:
        return {} if self.has_normals else {"normal error": "not measured: the set has no normals"}

    def _of_selection(self) -> dict[str, str]:
        names = favoured(self.experiment)
        if not names:
            return {}
        free = "; split: test is free of that" if self.experiment.split == "validation" else ""
        return {
            "selected on the shown split": f"{', '.join(names)}: checkpoint or mixing coefficient was chosen"
            f" on {self.experiment.split} clouds of this set, which favours them{free}"
        }


def favoured(experiment: AnalyseExperiment) -> list[str]:
    """Subjects whose weights were chosen by their accuracy on the split that is shown."""
    shown = experiment.shown.recipe(), experiment.split
    return [
        name
        for name, subject in experiment.subjects.items()
        if any((config.recipe(), split) == shown for config, split in _chosen_on(subject))
    ]


def _head_of(subject: analysis.Subject) -> str:
    because = f", as {subject.why_fresh}" if subject.why_fresh else ""
    return HEADS[subject.head_kind] + because


def _chosen_on(subject: SubjectConfig) -> Iterator[tuple[DatasetConfig, str]]:
    """The sets and splits by which the weights of this subject, or those it started from, were chosen: of
    validation, but for habits of released code.

    A protocol that trains nothing chooses its head there, and changes no weight that is analysed.
    """
    match subject:
        case PretrainExperiment():
            if subject.training.selection == "best":
                yield subject.data, "validation"
        case TransferExperiment():
            if subject.averages or (subject.trains and subject.training.selection == "best"):
                yield subject.data, "test" if subject.chooses_on_test else "validation"
            if subject.averages and subject.shifted is not None:
                yield subject.shifted, "validation"
            if subject.pretrained is not None:
                yield from _chosen_on(subject.pretrained)
