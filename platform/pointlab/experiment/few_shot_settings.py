"""What goes with protocol few_shot, told when it is written: folds that there are, and no choice to make."""

from pointlab.data.dataset import DatasetConfig
from pointlab.data.formats import ModelNetFewshot
from pointlab.training import TrainingConfig
from pointlab.transfer import FewShotConfig


def brings_folds(data: DatasetConfig) -> bool:
    """Whether the set holds all released folds, so that none are drawn."""
    return isinstance(data.source, ModelNetFewshot)


def require_one_fold(data: DatasetConfig) -> None:
    """ValueError where other protocols would be given all folds at once, and train on what they test."""
    if isinstance(data.source, ModelNetFewshot) and data.source.fold is None:
        raise ValueError(
            "data holds all ten folds, and clouds to train on in one are tested in another: set"
            " data.source.fold to one of them, or protocol to few_shot"
        )


def require_foldable(
    settings: FewShotConfig,
    data: DatasetConfig,
    training: TrainingConfig,
    *,
    is_tested: bool,
    has_shifted: bool,
    samples_per_class: int | None,
    chooses_on_queries: bool,
) -> None:
    """ValueError for what a few-shot transfer does not read, or cannot have."""
    if samples_per_class is not None:
        raise ValueError(
            f"samples_per_class is {samples_per_class}, but protocol few_shot trains on few_shot.shots ="
            f" {settings.shots} clouds of each class: leave it out, in a study by exclude"
        )
    if settings.head == "full" and training.selection == "best" and not chooses_on_queries:
        raise ValueError(
            "training.selection is best, but a fold of protocol few_shot has no clouds to choose on: set"
            " training.selection to last"
        )
    if isinstance(data.source, ModelNetFewshot):
        _require_released(data.source, settings, data, is_tested=is_tested, has_shifted=has_shifted)


def _require_released(
    source: ModelNetFewshot,
    settings: FewShotConfig,
    data: DatasetConfig,
    *,
    is_tested: bool,
    has_shifted: bool,
) -> None:
    if source.fold is not None:
        raise ValueError(
            f"data holds fold {source.fold} alone, but protocol few_shot is over all folds: set"
            " data.source.fold to null"
        )
    asked, released = (settings.ways, settings.shots, settings.folds), (source.way, source.shot, 10)
    if asked != released:
        raise ValueError(
            f"few_shot has {settings.ways} ways, {settings.shots} shots and {settings.folds} folds, but the"
            f" released folds of data have {source.way} and {source.shot}, and are 10: set both to the same"
        )
    if settings.queries != FewShotConfig().queries:
        raise ValueError(
            f"few_shot.queries is {settings.queries}, but released folds bring their queries along, all of"
            " which are asked about: leave it out"
        )
    if data.validation_fraction > 0 or not is_tested or has_shifted:
        raise ValueError(
            "released folds have training and test clouds alone: expected data.validation_fraction 0, test"
            " true and no shifted set"
        )
