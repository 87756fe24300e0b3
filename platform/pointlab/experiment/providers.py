"""The frozen networks that a pretraining learns from: a teacher, and the latents of a finished stage I.

Both are read anew at the start of every training process and never saved with it: a teacher is named by the
hash of its weights, and a stage I is the model that its own run left. What teachers say of pictures and texts
is in `features.py`; where they are found, and what is kept of them, is the same and here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_safetensors
from torch import nn

from pointlab.backbones import BackboneConfig
from pointlab.backbones.patch_embedding import PatchEmbedding
from pointlab.config import validate
from pointlab.errors import ConfigError, StorageError
from pointlab.experiment.finished_teachers import difference, folder_of, hashes_of
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import (
    model_manifest,
    read_module,
    read_modules,
    seeded,
    seeded_backbone,
)
from pointlab.experiment.teacher import RandomTeacher
from pointlab.objectives.autoencoder import Autoencoder
from pointlab.objectives.prompting import ForeignTransformer
from pointlab.objectives.targets import Latents
from pointlab.official import Unstored, export_weights, import_checkpoint
from pointlab.paradigms.act_autoencoder import ActAutoencoderConfig
from pointlab.storage import Storage, read_record
from pointlab.storage.files import sha256
from pointlab.teachers import foreign_transformer, random_foreign_transformer
from pointlab.training.checkpoint import load_weights


def build_providers(resolved: Resolved[PretrainExperiment], storage: Storage) -> dict[str, nn.Module]:
    """The networks of ACT's stages that the experiment names, by role: no gradients, in eval mode."""
    found: dict[str, nn.Module] = {}
    if resolved.experiment.teacher is not None:
        found["teacher"] = _teacher(resolved, storage)
    if resolved.experiment.latents is not None:
        found["latents"] = _latents(resolved.experiment.latents, resolved.parents["latents"], storage)
    return {role: network.requires_grad_(False).eval() for role, network in found.items()}


def needs_of(
    resolved: Resolved[PretrainExperiment], providers: Mapping[str, nn.Module], storage: Storage
) -> dict[str, Any]:
    """What the exported modules cannot be used without, or belong to: each teacher, by where it is from and
    by its hash.
    """
    roles = ("teacher", "image_teacher", "text_teacher")
    named = [role for role in roles if getattr(resolved.experiment, role) is not None]
    return {role: _named(resolved, role, providers.get(role), storage) for role in named}


def teacher_folder(resolved: Resolved[PretrainExperiment], role: str, storage: Storage) -> Path:
    """The folder of `transformers` with the network of this role: of its run, or of its hash.

    Raises StorageError where that run left none, DataError where the folder is missing or holds others.
    """
    source = getattr(resolved.experiment, role)
    assert not isinstance(source, RandomTeacher), "random weights have no folder"
    return folder_of(source, resolved.parents.get(role), storage)


def _teacher(resolved: Resolved[PretrainExperiment], storage: Storage) -> ForeignTransformer:
    source = resolved.experiment.teacher
    assert source is not None, "asked for where there is one"
    with seeded("teacher"):  # what is drawn before weights are read leaves torch's generator where it was
        if isinstance(source, RandomTeacher):
            return random_foreign_transformer(source.network, source.seed)
        return foreign_transformer(teacher_folder(resolved, "teacher", storage))


def _named(
    resolved: Resolved[PretrainExperiment], role: str, network: nn.Module | None, storage: Storage
) -> dict[str, str]:
    """`hashes_of` a teacher; of a random one the sha256 of the weights that were drawn in `network`.

    How pictures and texts are prepared counts where features are learned from, and not for ACT's blocks.
    """
    source = getattr(resolved.experiment, role)
    if not isinstance(source, RandomTeacher):
        hashes = hashes_of(source, resolved.parents.get(role), storage)
        if role == "teacher":
            del hashes["identity"]
        return hashes
    assert network is not None, "random weights are in the network alone"
    drawn = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return {"kind": "random", "sha256": sha256(save_safetensors(drawn))}


def _latents(experiment: PretrainExperiment | ImportExperiment, run: str, storage: Storage) -> Latents:
    """The stage I that `run` left: trained here, or imported."""
    if isinstance(experiment, ImportExperiment):
        return _imported_latents(run, storage)
    return _trained_latents(experiment, run, storage)


def _imported_latents(run: str, storage: Storage) -> Latents:
    """A released stage I with the transformer in it, from what its import has stored."""
    details = model_manifest(storage, run).details
    backbone = validate(BackboneConfig, details["backbone"], f"the model of {run}")
    unstored = validate(Unstored, details["unstored"], f"the model of {run}")
    released = export_weights(read_modules(storage, run), details["layout"], backbone, unstored)
    modules = import_checkpoint(released.weights, released.layout, unstored=released.unstored).modules
    embedding, autoencoder, foreign = (modules.get(name) for name in ("backbone", "autoencoder", "foreign"))
    if not isinstance(foreign, ForeignTransformer):
        raise ConfigError(
            f"The stage I of {run} came without the transformer that it was trained around.",
            expected="a checkpoint that holds it (visual_embed)",
            remedy="export it again where its teacher is at hand",
        )
    assert isinstance(embedding, PatchEmbedding), "by its layout"
    assert isinstance(autoencoder, Autoencoder), "by its layout"
    return Latents(embedding, autoencoder, foreign)


def _trained_latents(experiment: PretrainExperiment, run: str, storage: Storage) -> Latents:
    """The stage I that `run` left, around the same teacher.

    `experiment` is that of its record in all that counts; where a teacher's folder lies today it knows
    better. Raises StorageError where the teacher is no longer the one that stage I was trained around.
    """
    record = read_record(storage, run)
    assert record is not None, "a parent is finished before its children"
    paradigm = experiment.paradigm
    assert isinstance(paradigm, ActAutoencoderConfig), "checked when the model was made"
    resolved = Resolved(experiment, run, record.datasets, record.parents)
    foreign = _teacher(resolved, storage)
    _require_same_teacher(resolved, foreign, storage)
    embedding = seeded_backbone(experiment.backbone, experiment.seed)
    assert isinstance(embedding, PatchEmbedding), "declared in compatibility.py"
    with seeded(experiment.seed, "paradigm"):
        autoencoder = Autoencoder(paradigm.autoencoder, embedding.width, embedding.config.group_size, foreign)
    load_weights(embedding, read_module(storage, run, "backbone"))
    load_weights(autoencoder, read_module(storage, run, "autoencoder"))
    return Latents(embedding, autoencoder, foreign)


def _require_same_teacher(
    resolved: Resolved[PretrainExperiment], foreign: ForeignTransformer, storage: Storage
) -> None:
    """Its run may have been deleted and made anew on another machine, or be drawn by another torch."""
    then = model_manifest(storage, resolved.run).details["teacher"]
    now = _named(resolved, "teacher", foreign, storage)
    where = storage.locate(f"runs/{resolved.run}")
    if differing := difference(then, now):
        found, expected = differing
        raise StorageError(
            f"The teacher of {resolved.run} now has {found}.",
            expected=f"{expected}, around which that run was trained",
            remedy=f"bring that teacher back, or delete {where} and run again",
        )
