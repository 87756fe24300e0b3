"""`kind: import`: a checkpoint that a paper released takes the place of a pretraining.

Its identity is the file's sha256 and not its path, so that an import is found again where the file is gone.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig
from pointlab.errors import ConfigError, DataError
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.stored_models import publish_model, seeded_backbone
from pointlab.objectives import HeadConfig
from pointlab.official import LAYOUTS, Imported, LayoutName, Unstored, import_sketched, sketch_checkpoint
from pointlab.official.exporting import OF_BACKBONES, UNUSED
from pointlab.official.importing import Sketch
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights

ASSUMED = "assumed, as no tensor tells it"
"""A note of the record: what was taken as the papers have it, and how to say otherwise."""
NOT_COUNTED: dict[str, Any] = {"identity": False}
"""For what `found` tells better: two ways of asking that find the same are one run."""


class Asked(StrictModel):
    """Where a file was and how it was to be read, when it was looked into."""

    path: str
    layout: LayoutName | None
    unstored: Unstored
    drop: tuple[str, ...]
    fresh_class_token: bool
    drop_path_rate: float | None


class Contents(StrictModel):
    """What a file tells."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    layout: LayoutName
    backbone: BackboneConfig
    head: HeadConfig | None
    num_classes: int
    """What the head tells apart; 0 without one."""


class Found(Contents):
    """And what was asked for: for anything else the file must be looked into again."""

    asked: Asked = Field(json_schema_extra=NOT_COUNTED)


class ImportExperiment(StrictModel):
    """One file, and what its tensors do not tell."""

    kind: Literal["import"] = "import"
    name: str = Field(default="imported", pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    """Draws a fresh class token; nothing else is random."""
    path: str = Field(json_schema_extra=NOT_COUNTED)
    """A `.pth` or safetensors file."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", json_schema_extra=NOT_COUNTED)
    """Of the file; null takes it as it is."""
    layout: LayoutName | None = None
    """null is replaced by the one that the keys show."""
    unstored: Unstored = Unstored()
    drop: tuple[str, ...] = ()
    """Keys to leave out, with `*` for any part of a name; a key that the layout does not explain is else
    an error."""
    fresh_class_token: bool = False
    """Whether a backbone without a class token gets an untrained one, as Point-MAE's fine-tuning does; to a
    probe of frozen features it is noise."""
    drop_path_rate: float | None = Field(default=None, ge=0, lt=1, json_schema_extra=NOT_COUNTED)
    """Of the backbone where it is fine-tuned, unless the transfer sets its own; null has the papers' 0.1, for
    ReCon's classifiers 0.2."""
    class_names: tuple[str, ...] = ()
    """What the head of a classifier tells apart, in its order, which no file says; none, and only the
    backbone is of use."""
    found: Found | None = None
    """Not to be given: written when the file is looked into, and from then on the file may be elsewhere."""
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _settle(self) -> "ImportExperiment":
        """Write into the model what the file tells, unless that is there for what is asked now."""
        if self.launch.kind != "local":
            raise ValueError("an import runs in this process: launch.kind must be 'local'")
        asked = self._asked()
        found = self.found
        if found is None or found.asked != asked:
            found = Found(**self._look(asked).model_dump(), asked=asked)
        expected = self.sha256 or (self.found and self.found.asked.path == self.path and self.found.sha256)
        if expected and found.sha256 != expected:
            raise ValueError(f"{self.path} has the sha256 {found.sha256}, not {expected}")
        if self.class_names and len(self.class_names) != found.num_classes:
            raise ValueError(
                f"class_names has {len(self.class_names)} names: expected {found.num_classes}, as many as the"
                " file's classifier tells apart"
            )
        self.__dict__.update(found=found, layout=found.layout)  # else frozen
        return self

    def _asked(self) -> Asked:
        """What is asked for now; a layout that was itself found is none that was asked for."""
        was_found = self.found is not None and self.layout == self.found.layout
        layout = self.found.asked.layout if was_found and self.found is not None else self.layout
        names = set(Asked.model_fields) - {"layout"}
        return Asked(layout=layout, **{name: getattr(self, name) for name in names})

    def _look(self, asked: Asked) -> Contents:
        path = Path(self.path)
        if not path.is_file():
            again = "" if self.found is None else " to look into again, now that other settings are asked for"
            what = "is a folder, not a file" if path.is_dir() else "is not there"
            raise ValueError(f"path: {self.path} {what}{again}")
        status = path.stat()
        return _look_into(asked, (status.st_mtime_ns, status.st_size))

    @property
    def contents(self) -> Found:
        """What the file tells."""
        assert self.found is not None, "settled when the model was made"
        return self.found

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with."""
        return f"import/{self.layout}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """None: what others trained on is not known here."""
        return {}

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration."""
        return self.contents.backbone

    @property
    def head(self) -> HeadConfig | None:
        """The configuration of a classifier's head."""
        return self.contents.head


class Loose(nn.Module):
    """Tensors by names of any form, to be stored beside modules."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.tensors = dict(tensors)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:  # noqa: ARG002
        destination.update({f"{prefix}{name}": tensor for name, tensor in self.tensors.items()})


def bring_in(resolved: Resolved[ImportExperiment], context: TrainContext) -> Findings:
    """Store the file's networks as a run's model; the record tells where every key went."""
    experiment = resolved.experiment
    asked = experiment.contents.asked
    sketch = _sketch(asked)
    _require_found(experiment, _contents(sketch, asked))
    imported = import_sketched(sketch)
    modules = {**imported.modules, "backbone": _started(experiment, imported)}
    if imported.unused:
        modules[UNUSED] = Loose(imported.unused)
    needs = {
        "layout": imported.layout,
        "changes": imported.report.changes(),
        "unstored": imported.unstored.said,
    }
    publish_model(
        context.storage, resolved.run, modules, experiment.architecture, experiment.class_names, needs=needs
    )
    curves = {"keys": imported.report.rows(), "summary": imported.report.summary()}
    return Findings(metrics={}, curves=curves, notes=_notes(experiment, imported))


def _notes(experiment: ImportExperiment, imported: Imported) -> dict[str, str]:
    report = imported.report
    fresh = {"class token": f"untrained, drawn by seed {experiment.seed}"}
    return {
        "layout": LAYOUTS[imported.layout].title,
        "keys": f"{report.num_keys}: {len(report.mapped)} mapped, {len(report.unused)} kept and not run,"
        f" {len(report.dropped)} dropped; {len(report.missing)} missing",
        "origin": f"{Path(experiment.path).name}, sha256 {experiment.contents.sha256}",
        **_assumed(imported),
        **(fresh if experiment.fresh_class_token else {}),
        **{f"in the file: {name}": value for name, value in imported.notes.items()},
    }


def _assumed(imported: Imported) -> dict[str, str]:
    """Settings of the backbone that nobody gave."""
    backbone = imported.backbone_config.model_dump()
    said = set(imported.unstored.said)
    if imported.modules.keys() & {"to_points", "autoencoder", "latents"}:
        said.add("group_size")  # as many as these rebuild
    names = [name for name in OF_BACKBONES if name in backbone and name not in said]
    shown = ", ".join(f"{name} {backbone[name]}" for name in names)
    return {ASSUMED: f"{shown}, as in the papers; otherwise --set unstored.{names[0]}=..."} if names else {}


@lru_cache(maxsize=16)
def _look_into(asked: Asked, _state: tuple[int, int]) -> Contents:
    """What a file tells; one that has changed since is looked into again."""
    return _contents(_sketch(asked), asked)


def _sketch(asked: Asked) -> Sketch:
    return sketch_checkpoint(Path(asked.path), asked.layout, unstored=asked.unstored, drop=asked.drop)


def _contents(sketch: Sketch, asked: Asked) -> Contents:
    built = sketch.match.built
    assert sketch.stored.sha256 is not None, "it was read from a file"
    return Contents(
        sha256=sketch.stored.sha256,
        layout=sketch.layout,
        backbone=_as_asked(built.backbone, asked),
        head=built.head,
        num_classes=built.num_classes,
    )


def _as_asked(backbone: BackboneConfig, asked: Asked) -> BackboneConfig:
    """The backbone with what may be chosen of it; ValueError where it has no such thing."""
    changes: dict[str, Any] = {}
    if asked.fresh_class_token:
        if not isinstance(backbone, PatchTransformerConfig) or backbone.class_token:
            raise ValueError("fresh_class_token is for patch transformers whose file has no class token")
        changes["class_token"] = True
    if asked.drop_path_rate is not None:
        if isinstance(backbone, PatchEmbeddingConfig):
            raise ValueError("drop_path_rate is for transformers, and this file holds a patch_embedding")
        changes["drop_path_rate"] = asked.drop_path_rate
    return backbone.model_copy(update=changes)


def _require_found(experiment: ImportExperiment, now: Contents) -> None:
    """Refuse a file that has changed since it was looked into, or what a config says was found in it."""
    then = experiment.contents
    if now.sha256 != then.sha256:
        raise DataError(
            f"{experiment.path} has the sha256 {now.sha256}.",
            expected=then.sha256,
            remedy="find the file again",
        )
    differing = [name for name in Contents.model_fields if getattr(now, name) != getattr(then, name)]
    if differing:
        name = differing[0]
        raise ConfigError(
            f"found.{name} is {getattr(then, name)}, and {experiment.path} has {getattr(now, name)}.",
            expected="what the file tells",
            remedy="leave found out of the config: it is written when the file is looked into",
        )


def _started(experiment: ImportExperiment, imported: Imported) -> Backbone:
    """The imported backbone, with an untrained class token where one is asked for, and nothing else new."""
    backbone = seeded_backbone(experiment.architecture, experiment.seed)
    new = backbone.state_dict()
    names = ("class_token", "class_position") if experiment.fresh_class_token else ()
    load_weights(
        backbone, {**imported.modules["backbone"].state_dict(), **{name: new[name] for name in names}}
    )
    return backbone
