"""The classifiers that corruption errors are divided by."""

from collections.abc import Collection, Iterable

from pydantic import Field, model_validator

from pointlab.config import StrictModel
from pointlab.data.corruptions.contract import SEVERITIES
from pointlab.errors import ConfigError


class Baseline(StrictModel):
    """A classifier's overall accuracies in [0, 1], each corruption's averaged over its severities."""

    name: str
    clean: float = Field(gt=0, le=1)
    accuracies: dict[str, float]

    @model_validator(mode="after")
    def _can_be_divided_by(self) -> "Baseline":
        for name, accuracy in self.accuracies.items():
            if not 0 <= accuracy < self.clean:
                raise ValueError(
                    f"the baseline's accuracy under {name} is {accuracy}: expected less than its clean"
                    f" accuracy {self.clean}, for the difference is divided by"
                )
        return self

    def loss(self, corruption: str) -> float:
        """How much of its clean accuracy the baseline loses under a corruption."""
        return self.clean - self.accuracies[corruption]

    def require(self, corruptions: Iterable[str]) -> None:
        """Raise ConfigError unless the baseline was measured under all of these."""
        missing = [name for name in corruptions if name not in self.accuracies]
        if missing:
            raise ConfigError(
                f"The baseline {self.name} has no accuracy under {', '.join(missing)}.",
                expected="one for every corruption of the suite",
                remedy="add it to baseline.accuracies, or leave the corruption out of suite.corruptions",
            )


DGCNN = Baseline(
    name="DGCNN",
    clean=0.926,
    accuracies={
        "scale": 0.906,
        "jitter": 0.684,
        "rotate": 0.785,
        "dropout_global": 0.752,
        "dropout_local": 0.793,
        "add_global": 0.705,
        "add_local": 0.725,
    },
)
"""As published with ModelNet-C, on its released files."""


def published_with(suite: str, severities: Collection[int]) -> Baseline | None:
    """The baseline that a suite's authors divide by; ModelNet40-C's figure is the plain error, by none.

    None for a part of the severities as well: what is published are means over all of them.
    """
    return DGCNN if suite == "modelnet_c" and set(severities) == set(SEVERITIES) else None
