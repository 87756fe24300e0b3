"""A finished run in the layout that a paper released: its weights, and the frozen network in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from pointlab.backbones import BackboneConfig
from pointlab.config import validate
from pointlab.errors import ConfigError, PointlabError
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.providers import build_providers
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import model_manifest, read_modules
from pointlab.objectives.prompting import ForeignTransformer
from pointlab.objectives.targets import Latents
from pointlab.official import LAYOUTS, Exported, LayoutName, Unstored, export_weights
from pointlab.official.foreign import as_released
from pointlab.official.layouts import known_layout
from pointlab.storage import Record, Storage, require_record

States = dict[str, Mapping[str, Tensor]]
NO_PLACE_FOR_FOREIGN = "the layout has blocks of a vision transformer, and those of this teacher are others"


LAYOUT_OF: dict[str, LayoutName] = {
    "masked": "point_mae_pretrain",
    "act_autoencoder": "act_autoencoder",
    "act": "act_pretrain",
    "recon": "recon_pretrain",
}
"""Where a pretraining goes unless something else is asked for, by its paradigm."""


@dataclass(frozen=True)
class Frozen:
    """The weights beside a run's own that were frozen, by module; or why they have no place."""

    states: States
    unstored: Unstored
    left_out: dict[str, str]


def export_run(storage: Storage, run: str, layout: str | None = None) -> tuple[Exported, Mapping[str, Any]]:
    """The networks of a finished run in `layout`, by default the one they came in or that is
    their paradigm's, and details of its model, with the `num_points` of the clouds that it was trained on.

    What ACT's stages learned from is read again, where it was, and written with them. Raises StorageError for
    a run without a model, ConfigError for one whose layout nobody names or that left no backbone, DataError
    where it has no place in the layout.
    """
    record = require_record(storage, run)
    manifest = model_manifest(storage, run)
    details = manifest.details
    if "backbone" not in details:
        raise ConfigError(
            f"{run} left no backbone.",
            expected="a pretraining, a transfer or an import",
            remedy="a teacher's model needs no export: its folder is one of transformers already",
        )
    named = layout or details.get("layout") or LAYOUT_OF.get(_paradigm_of(record))
    if named is None:
        raise _choice_of_layouts(run, details["backbone"]["kind"])
    states = read_modules(storage, run)
    frozen = _frozen(record, storage)
    said: Unstored = validate(Unstored, details.get("unstored", {}), f"the model of {run}")
    backbone: BackboneConfig = validate(BackboneConfig, details["backbone"], f"the model of {run}")
    exported = export_weights(
        states | frozen.states, known_layout(named), backbone, said.or_else(frozen.unstored)
    )
    shown = {"num_points": record.config["num_points"]} if "num_points" in record.config else {}
    return replace(exported, left_out=exported.left_out | frozen.left_out), {**details, **shown}


def _choice_of_layouts(run: str, backbone: str) -> ConfigError:
    """That the run may go into those layouts which hold such a backbone, or into none."""
    fitting = [name for name, layout in LAYOUTS.items() if layout.backbone == backbone]
    if not fitting:
        return ConfigError(
            f"No layout holds {run}, whose backbone is a {backbone}.",
            expected=f"one of {', '.join(sorted({layout.backbone for layout in LAYOUTS.values()}))}",
            remedy="use the safetensors of its model as they are",
        )
    return ConfigError(
        f"{run} may go into several layouts.", remedy=f"choose one with --layout: {', '.join(fitting)}"
    )


def _paradigm_of(record: Record) -> str:
    """Kind of the paradigm of a pretraining; nothing for other runs."""
    return str(record.config["paradigm"]["kind"]) if record.kind == "pretrain" else ""


def _frozen(record: Record, storage: Storage) -> Frozen:
    """What a pretraining learned from, as far as it belongs to the official layout of its paradigm."""
    if record.kind != "pretrain":
        return Frozen({}, Unstored(), {})
    experiment: PretrainExperiment = validate(PretrainExperiment, record.config, record.run)
    decoder = getattr(experiment.paradigm, "decoder", None)
    unstored = Unstored(decoder_heads=decoder.num_heads if decoder else None)
    resolved = Resolved(experiment, record.run, record.datasets, record.parents)
    try:
        providers = build_providers(resolved, storage)
    except PointlabError as error:  # what was trained can be written nevertheless
        return Frozen({}, unstored, {"what it learned from": f"it is not to be had any more ({error.found})"})
    for network in providers.values():
        return _placed(network, unstored)
    return Frozen({}, unstored, {})


def _placed(network: nn.Module, unstored: Unstored) -> Frozen:
    """A teacher, or the stage I that holds one, with blocks as the layouts have them."""
    module, foreign = ("latents", network.foreign) if isinstance(network, Latents) else ("foreign", network)
    assert isinstance(foreign, ForeignTransformer), "what act_autoencoder and act learn from"
    released = as_released(foreign)
    if released is None:
        return Frozen({}, unstored, {module: NO_PLACE_FOR_FOREIGN})
    if isinstance(network, Latents):
        state = Latents(network.embedding, network.autoencoder, released).state_dict()
    else:
        state = released.state_dict()
    heads = Unstored(teacher_heads=released.num_heads)
    return Frozen({module: state}, unstored.or_else(heads), {})
