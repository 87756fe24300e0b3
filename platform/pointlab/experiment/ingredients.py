"""The ingredients of a soup: one transfer under protocol full, with a few settings changed in each."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

from pointlab.config import StrictModel, merge, nested, validate
from pointlab.experiment.resolve import definition
from pointlab.paradigms import SupervisedConfig
from pointlab.transfer import MixtureConfig, SoupConfig

E = TypeVar("E", bound=StrictModel)
FREE = ("training", "augmentation", "supervised", "drop_path_rate")
"""What an ingredient may set: with another seed or head there would be another initial head."""
OF_TWO_ENDS = ("coefficients", "by_depth", "weighting")
"""Settings of a mixture that a soup has no use for."""


def with_settings(transfer: E, values: Mapping[str, Any], where: str) -> E:
    """The transfer with these values at their dotted paths; ConfigError names `where` they are wrong."""
    settings = transfer.model_dump(mode="json")
    for path, value in values.items():
        settings = merge(settings, nested(path, value))
    changed: E = validate(type(transfer), settings, where)
    return changed


def require_free(soup: SoupConfig) -> None:
    """ValueError where there are too few ingredients, or one sets what all must have in common."""
    if len(soup.ingredients) < 2:
        raise ValueError(
            f"soup.ingredients has {len(soup.ingredients)}, but protocol soup averages two or more: list what"
            " each sets otherwise, such as {training.optimiser.learning_rate: 1.0e-4}; {} is the transfer as"
            " it stands"
        )
    for number, values in enumerate(soup.ingredients):
        for path in values:
            if path.partition(".")[0] not in FREE:
                raise ValueError(
                    f"soup.ingredients.{number} sets {path}, which all ingredients have in common: expected"
                    f" paths within {', '.join(FREE)}"
                )


def require_unweighted(mixture: MixtureConfig) -> None:
    """ValueError where it is said how two ends are weighed: all ingredients of a soup count alike."""
    plain = MixtureConfig()
    for name in OF_TWO_ENDS:
        if getattr(mixture, name) != getattr(plain, name):
            inherited = " (null takes back what a file below has set)" if name != "weighting" else ""
            raise ValueError(
                f"mixture.{name} is set, but a soup is the plain average of its ingredients: leave it out"
                f"{inherited}, in a study by adjustments"
            )


def require_different_training(fine_tunings: Sequence[Any], supervised: SupervisedConfig) -> None:
    """ValueError where two ingredients are one run, or one has another head than `supervised`, the soup's."""
    for number, each in enumerate(fine_tunings):
        if each.supervised.head != supervised.head:
            raise ValueError(
                f"soup.ingredients.{number} sets supervised.head, but all ingredients have one initial head:"
                " set it in the transfer itself"
            )
    for (number, one), (other_number, other) in combinations(enumerate(map(_identity, fine_tunings)), 2):
        if one == other:
            raise ValueError(
                f"soup.ingredients {number} and {other_number} are equal, one run: leave one of them out"
            )


def _identity(fine_tuning: Any) -> str:
    """What names its run: how often checkpoints are written does not, say."""
    return json.dumps(definition(fine_tuning, lambda data: data.recipe()), sort_keys=True)
