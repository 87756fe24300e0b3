"""What is measured of a checkpoint, and how."""

from typing import Literal, get_args

from pydantic import Field, PositiveInt

from pointlab.config import StrictModel
from pointlab.transfer import ProbeConfig

Measure = Literal["gradients", "probes", "normals", "similarity", "ranks"]


class AnalysisConfig(StrictModel):
    """Which measures are taken, and the settings of each; weight drift costs nothing and is always there."""

    measures: tuple[Measure, ...] = get_args(Measure)
    """All of them: they share one pass over the data. Columns of a measure that is left out are absent."""
    probe: ProbeConfig = ProbeConfig()
    """The linear probe of every stage, with the penalties of a transfer's probe. Its clouds, here as many of
    each class, and how its penalty is chosen differ from a transfer's, and so do its accuracies."""
    held_out: float = Field(default=0.2, gt=0, lt=1)
    """Share of each class's fit clouds on which the probe's penalty is chosen: a fifth, as in 5 folds. A
    subject that was trained on them knows them, which favours small penalties."""
    num_neighbours: PositiveInt = 20
    """Voters of the kNN probe; 20 is what self-supervised pretraining is usually compared at. More than the
    clouds of a class are sure to hold strangers: lower it for small sets."""
    normal_tokens: PositiveInt = 32
    """Tokens of a cloud that the normal probe sees, evenly spaced: 2,000 clouds give 64,000, far more than
    its weights need, and clouds of many points cost no more than patches."""
    normal_penalty: float = Field(default=1e-3, gt=0)
    """Ridge penalty on standardised tokens, relative to their unit variance: only against collinearity."""
    estimator: Literal["unbiased", "biased"] = "unbiased"
    """CKA from mini-batches without bias, or from the whole feature matrix as first published. The biased one
    grows with the number of channels over the number of clouds."""
    similarity_clouds: int = Field(default=256, ge=4)
    """Clouds of a mini-batch of CKA, at least: more lower the variance, memory grows with their square."""
    embedding_stages: Literal["last", "all", "none"] = "last"
    """Stages that are drawn in two dimensions: t-SNE takes seconds for each, and the last says most."""
    embedding_clouds: int = Field(default=500, ge=4)
    """Clouds in a drawing, evenly spaced over the scored ones: more hide each other, and take longer."""
    perplexity: float = Field(default=30.0, ge=1)
    """Effective neighbours in t-SNE, its authors' and the library's choice; at most a third of the clouds."""

    @property
    def learns(self) -> bool:
        """Whether some measure takes gradients from the training split or is fit on it."""
        return not {"gradients", "probes", "normals"}.isdisjoint(self.measures)

    @property
    def keeps_features(self) -> bool:
        """Whether some measure wants the scored clouds' features."""
        return self.embedding_stages != "none" or not {"probes", "similarity", "ranks"}.isdisjoint(
            self.measures
        )

    @property
    def scores(self) -> bool:
        """Whether some measure looks at the scored clouds at all."""
        return self.keeps_features or "normals" in self.measures
