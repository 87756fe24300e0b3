"""Settings of a training run, whatever the paradigm; defaults follow the patch models' papers."""

from typing import Literal

from pydantic import Field, model_validator

from pointlab.config import ADDED_LATER, StrictModel


class OptimiserConfig(StrictModel):
    """AdamW, with the papers' rule that one-dimensional parameters, biases and tokens do not decay; or SGD
    with momentum, as PointContrast and PPKT have it.

    The defaults are AdamW's. For SGD they would be a hundredth of the usual rate and hundreds of times the
    usual decay, so that it takes both in writing."""

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor on the learning rate per stage of depth, from the head down; 1 treats all stages alike."""
    head_learning_rate_factor: float = Field(default=1.0, gt=0, json_schema_extra=ADDED_LATER)
    """Factor on the learning rate of a head and of the class token or query, which are new where the rest is
    pretrained; 1, as in the fine-tuning of Point-MAE and ACT, where ReCon's has 10."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD."""
    clip_norm: float | None = Field(default=10.0, gt=0)
    """Largest gradient norm, 10 as in the papers' fine-tuning; null, as in their pretraining: no clipping."""

    @property
    def unread(self) -> frozenset[str]:
        """Settings that are for the other kind of optimiser."""
        return frozenset({"betas"} if self.kind == "sgd" else {"momentum"})

    @model_validator(mode="after")
    def _sgd_is_given_its_own_scale(self) -> "OptimiserConfig":
        missing = [name for name in ("learning_rate", "weight_decay") if name not in self.model_fields_set]
        if self.kind == "sgd" and missing:
            raise ValueError(
                f"kind is sgd, but {' and '.join(missing)} would be AdamW's: set learning_rate and"
                " weight_decay, such as 0.1 and 1e-4"
            )
        return self


class TrainingConfig(StrictModel):
    """How long, how large a batch, how fast, and what is kept."""

    epochs: float = Field(default=300, gt=0)
    until: float | None = Field(default=None, gt=0, json_schema_extra=ADDED_LATER)
    """Epoch at which training leaves off, before its schedule, which is made for `epochs`, comes to its end;
    null: with it."""
    batch_size: int = Field(default=32, ge=1)
    """Samples per optimiser step over all workers and micro-batches together."""
    accumulation: int = Field(default=1, ge=1)
    """Micro-batches per step on each worker; BatchNorm sees one at a time."""
    warmup_epochs: float = Field(default=10, ge=0)
    """At most `epochs`; the papers'."""
    minimum_learning_rate: float = Field(default=1e-6, ge=0)
    """At most the optimiser's rate; the papers', but for ACT's 1e-7."""
    schedule: Literal["smooth", "released"] = "smooth"
    """smooth: by the step, and the cosine begins after the warm-up; right at any length. released: as the
    released code of Point-MAE, ACT and ReCon has it: one rate for each epoch, an epoch behind, so that the
    first two have the lowest, and a cosine that begins with the warm-up. It trains one epoch more than its
    cosine is long: for 300, set epochs to 301."""
    optimiser: OptimiserConfig = OptimiserConfig()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16 run matrix products in half precision, fp16 with a loss scale that adapts; both pay on
    GPUs, not on most processors."""
    batch_norm: Literal["per_worker", "synchronised"] = "per_worker"
    """synchronised: normalise with the moments of the micro-batches of all workers, as one worker with all
    of them would. It costs a message per layer; per_worker is what most papers did."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Decay per step of a moving average of the weights, which is then validated, selected and exported;
    0.999 to 0.9999 are usual. null keeps none."""
    selection: Literal["best", "last"] = "last"
    """best keeps the weights with the highest `validation/accuracy`, or `validation/miou` of a segmentation;
    without either, with the lowest loss."""
    validate_every: float = Field(default=1, gt=0)
    """Epochs between two validations; a checkpoint is written with each."""
    log_every: int = Field(default=10, ge=1, json_schema_extra={"identity": False})
    """Steps between two lines of the log."""
    checkpoint_every: int | None = Field(default=None, ge=1, json_schema_extra={"identity": False})
    """Steps between further checkpoints, where validations are far apart."""
    keep_checkpoints: int = Field(default=2, ge=1, json_schema_extra={"identity": False})
    log_samples: bool = Field(default=False, json_schema_extra={"identity": False})
    """Whether the ids of every step's samples are logged, at `samples/` in the run's folder."""
    num_threads: int = Field(default=1, ge=1, json_schema_extra={"identity": False})
    """Processor threads of each worker; results are equal bit for bit at equal numbers."""

    @property
    def end(self) -> float:
        """Epochs after which training is over."""
        return self.epochs if self.until is None else self.until

    @model_validator(mode="after")
    def _schedule_fits(self) -> "TrainingConfig":
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs:g} exceeds epochs {self.epochs:g}, so that the run would"
                " end within its warm-up: lower warmup_epochs, 3 % of epochs being usual, or raise epochs"
            )
        if self.until is not None and self.until > self.epochs:
            raise ValueError(
                f"until {self.until:g} exceeds epochs {self.epochs:g}: lower it, or leave it out"
            )
        if self.minimum_learning_rate > self.optimiser.learning_rate:
            raise ValueError(
                f"minimum_learning_rate {self.minimum_learning_rate:g} exceeds optimiser.learning_rate"
                f" {self.optimiser.learning_rate:g}: lower minimum_learning_rate"
            )
        return self

    @model_validator(mode="after")
    def _batch_holds_micro_batches(self) -> "TrainingConfig":
        if self.accumulation > self.batch_size:
            raise ValueError(
                f"accumulation {self.accumulation} exceeds batch_size {self.batch_size}:"
                " a micro-batch would be empty"
            )
        return self
