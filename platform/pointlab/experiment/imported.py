"""`kind: import`: a checkpoint that a paper released takes the place of a pretraining.

Its identity is the file's sha256 and not its path, so that an import is found again where the file is gone.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from pointlab.backbones import Backbone, BackboneConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig
from pointlab.errors import ConfigError, DataError
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.wiring import publish_model, seeded_backbone
from pointlab.objectives import Head, HeadConfig
from pointlab.official import LAYOUTS, Imported, LayoutName, Unstored, import_checkpoint
from pointlab.official.exporting import OF_BACKBONES, UNUSED, tree_of
from pointlab.official.reading import file_sha256
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights

Contents = tuple[str, LayoutName, BackboneConfig, HeadConfig | None]
"""sha256, layout, backbone and head of a file."""


ASSUMED = "assumed, as no tensor tells it"
"""A note of the record: what was taken as the papers have it, and how to say otherwise."""


class ImportExperiment(StrictModel):
    """One file, and what its tensors do not tell."""

    kind: Literal["import"] = "import"
    name: str = Field(default="imported", pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    """Draws a fresh class token; nothing else is random."""
    path: str = Field(json_schema_extra={"identity": False})
    """A `.pth` or safetensors file."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the file; null is replaced by what it has."""
    layout: LayoutName | None = None
    """null is replaced by the one that the keys show."""
    unstored: Unstored = Unstored()
    drop: tuple[str, ...] = ()
    """Keys to leave out, with `*` for any part of a name; a key that the layout does not explain is else
    an error."""
    fresh_class_token: bool = False
    """Whether a backbone without a class token gets an untrained one, as Point-MAE's fine-tuning does; to a
    probe of frozen features it is noise."""
    class_names: tuple[str, ...] = ()
    """What the head of a classifier tells apart, in its order, which no file says; none, and only the
    backbone is of use."""
    backbone: BackboneConfig | None = None
    """null is replaced by what the tensors' shapes tell."""
    head: HeadConfig | None = None
    """Likewise, where the file has a classifier's head."""
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _settle(self) -> "ImportExperiment":
        """Write into the model what the file tells, once: from then on the file may be elsewhere."""
        if self.launch.kind != "local":
            raise ValueError("an import runs in this process: launch.kind must be 'local'")
        if self.sha256 is None or self.layout is None or self.backbone is None:
            sha256, layout, backbone, head = self._look()
            if self.sha256 not in (None, sha256):
                raise ValueError(f"{self.path} has the sha256 {sha256}, not {self.sha256}")
            if self.fresh_class_token:
                backbone = _with_class_token(backbone)
            self.__dict__.update(sha256=sha256, layout=layout, backbone=backbone, head=head)  # else frozen
        return self

    def _look(self) -> "Contents":
        path = Path(self.path)
        if not path.is_file():
            raise ValueError(f"there is no file {self.path}")
        changed = path.stat().st_mtime_ns
        return _look_into(path, changed, self.layout, self.unstored, self.drop)

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
        assert self.backbone is not None, "settled when the model was made"
        return self.backbone


def bring_in(resolved: Resolved[ImportExperiment], context: TrainContext) -> Findings:
    """Store the file's networks as a run's model; the record tells where every key went."""
    experiment, path = resolved.experiment, Path(resolved.experiment.path)
    found = file_sha256(path)
    if found != experiment.sha256:
        raise DataError(
            f"{path} has the sha256 {found}.", expected=str(experiment.sha256), remedy="find the file again"
        )
    imported = import_checkpoint(path, experiment.layout, unstored=experiment.unstored, drop=experiment.drop)
    backbone = _started(experiment, imported)
    _require_names(experiment, imported)
    modules = {**imported.modules, "backbone": backbone}
    if imported.unused:
        modules[UNUSED] = tree_of(imported.unused)
    needs = {
        "layout": imported.layout,
        "dropped": {f"{key.partition('.')[0]}.*": why for key, why in imported.report.dropped.items()},
        "unstored": imported.unstored.said,
        "configs": {name: config.model_dump(mode="json") for name, config in imported.configs.items()},
    }
    publish_model(
        context.storage, resolved.run, modules, experiment.architecture, experiment.class_names, needs=needs
    )
    report, fresh = imported.report, experiment.fresh_class_token
    return Findings(
        metrics={},
        curves={"keys": report.rows(), "summary": report.summary()},
        notes={
            "layout": LAYOUTS[imported.layout].title,
            "keys": f"{report.num_keys}: {len(report.mapped)} mapped, {len(report.unused)} kept and not run,"
            f" {len(report.dropped)} dropped; {len(report.missing)} entries missing",
            "origin": f"{path.name}, sha256 {found}",
            **_assumed(imported),
            **({"class token": f"untrained, drawn by seed {experiment.seed}"} if fresh else {}),
            **{f"in the file: {name}": value for name, value in imported.notes.items()},
        },
    )


def _assumed(imported: Imported) -> dict[str, str]:
    """Settings of the backbone that nobody gave."""
    backbone = imported.backbone_config.model_dump()
    names = [name for name in OF_BACKBONES if name in backbone and name not in imported.unstored.said]
    shown = ", ".join(f"{name} {backbone[name]}" for name in names)
    return {ASSUMED: f"{shown}, as in the papers; otherwise --set unstored.{names[0]}=..."} if names else {}


@lru_cache(maxsize=16)
def _look_into(
    path: Path, _changed: int, layout: LayoutName | None, unstored: Unstored, drop: tuple[str, ...]
) -> Contents:
    """What a file tells; one that has changed since is looked into again."""
    imported = import_checkpoint(path, layout, unstored=unstored, drop=drop)
    head = imported.configs.get("head")
    assert head is None or isinstance(head, HeadConfig), "a classifier's layout"
    return file_sha256(path), imported.layout, imported.backbone_config, head


def _with_class_token(backbone: BackboneConfig) -> BackboneConfig:
    if not isinstance(backbone, PatchTransformerConfig) or backbone.class_token:
        raise ValueError("fresh_class_token is for patch transformers whose file has no class token")
    return backbone.model_copy(update={"class_token": True})


def _require_names(experiment: ImportExperiment, imported: Imported) -> None:
    """Refuse names of classes that are not as many as the head's outputs."""
    if not experiment.class_names:
        return
    head = imported.modules.get("head")
    last = head[-1] if isinstance(head, Head) else None
    num_classes = last.out_features if isinstance(last, nn.Linear) else 0
    if num_classes != len(experiment.class_names):
        raise ConfigError(
            f"class_names has {len(experiment.class_names)} names.",
            expected=f"{num_classes}, as many as the file's classifier tells apart",
        )


def _started(experiment: ImportExperiment, imported: Imported) -> Backbone:
    """The imported backbone, with an untrained class token where one is asked for."""
    backbone = seeded_backbone(experiment.architecture, experiment.seed)
    weights = imported.modules["backbone"].state_dict()
    load_weights(backbone, weights, allow_missing=experiment.fresh_class_token)
    return backbone
