"""How a transfer is carried out, protocol by protocol.

Every choice (step, penalty, coefficient) reads validation splits only. The test splits are read once, by
`measure_test`, with the classifier that was chosen; a search's trials do not read them at all. Habits of
released code (`legacy`) break with that, say so, and are asked for by name.
"""

from collections.abc import Callable
from functools import partial

from pointlab import distributed
from pointlab.experiment.few_shot import few_shot
from pointlab.experiment.fine_tuning import fine_tune, lp_ft, trained_probe
from pointlab.experiment.frozen import knn, linear_probe, linear_svm, mlp_probe
from pointlab.experiment.going_on import heeding
from pointlab.experiment.legacy import notes_on_habits
from pointlab.experiment.measuring import measure_test, measure_validation
from pointlab.experiment.mixing import mix
from pointlab.experiment.overlap import note_on_overlap
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.segmenting import segment, show_segmentation
from pointlab.experiment.souping import soup
from pointlab.experiment.tasks import Protocol
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask, open_roles
from pointlab.experiment.zero_shot import zero_shot
from pointlab.training import TrainContext
from pointlab.training.numerics import prepare_process


def transfer(resolved: Resolved[TransferExperiment], context: TrainContext) -> Findings:
    """Carry out the protocol, store the chosen classifier, and measure it where the experiment says so."""
    experiment = resolved.experiment
    prepare_process(experiment.training.num_threads)
    task = TransferTask(resolved, context, open_roles(resolved, context.storage))
    findings = _carry_out(task)
    findings.notes.update(note_on_overlap(experiment) | notes_on_habits(experiment))
    if experiment.leaves_classifier and distributed.rank() == 0:
        if not experiment.segments:
            findings.add(measure_validation(task))
        if experiment.test:
            heed = heeding(resolved.run, context, "under corruptions of test")
            findings.add(measure_test(resolved, resolved.run, context.storage, context.device, heed))
            if experiment.segments:
                show_segmentation(task)
    return findings


def _carry_out(task: TransferTask) -> Findings:
    if task.experiment.segments:
        return segment(task)
    if task.experiment.trains_probe:
        return trained_probe(task)
    return PROTOCOLS[task.experiment.protocol](task)


PROTOCOLS: dict[Protocol, Callable[[TransferTask], Findings]] = {
    "full": fine_tune,
    "linear_probe": linear_probe,
    "mlp_probe": mlp_probe,
    "knn": knn,
    "linear_svm": linear_svm,
    "few_shot": few_shot,
    "zero_shot": zero_shot,
    "wise_ft": partial(mix, method="wise_ft"),
    "wise_ft_lp": partial(mix, method="wise_ft_lp"),
    "lp_ft": lp_ft,
    "soup": soup,
}
