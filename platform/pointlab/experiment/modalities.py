"""What clouds must bring beside points so that something can be learned of pictures and texts.

Asked as early as it can be told: of the source, when an experiment is written; where only its files tell, of
the prepared set, before anything is trained; and of the splits themselves, when they are read.
"""

from collections.abc import Mapping
from typing import Literal

from pointlab.data.dataset import DatasetConfig
from pointlab.data.manifest import read_dataset
from pointlab.data.shards import decode_attached, decode_clouds
from pointlab.errors import DataError
from pointlab.paradigms import ParadigmConfig, PpktConfig, ReconParadigmConfig
from pointlab.storage import Storage, read_manifest
from pointlab.storage.artifact import read_verified

Modality = Literal["picture", "caption", "label", "pixel"]
WITHOUT_PICTURES = "set paradigm.image_weight to 0 and image_teacher to null"
WITHOUT_PIXELS = (
    "set paradigm.kind to point_contrast, which learns of points alone, and image_teacher to null"
)
LEARNED_FROM = ("train", "validation")
"""The splits of which any may bring it."""
BROUGHT: dict[Modality, str] = {"pixel": "picture by a known camera"}
"""What clouds bring, where it is not called as what is learned of."""


def remedy_for_pictures(data: DatasetConfig) -> str | None:
    """What to do where the source gives no pictures; None where it does, and where only its files tell."""
    return data.source.to_give_pictures if data.source.gives_pictures is False else None


def remedy_for_captions(data: DatasetConfig) -> str | None:
    """What to do where the source gives no captions; None where it does, and where only its files tell."""
    return data.source.to_give_captions if data.source.gives_captions is False else None


def remedy_for_pixels(data: DatasetConfig) -> str | None:
    """What to do where the source knows no camera of a picture; None where it does, and where only its files
    tell."""
    return data.source.to_give_cameras if data.source.gives_cameras is False else None


def needed_by(paradigm: ParadigmConfig) -> dict[Modality, str]:
    """What some clouds must bring, each with what to set where none does; nothing for most paradigms."""
    if isinstance(paradigm, PpktConfig):
        return {"pixel": WITHOUT_PIXELS}
    if not isinstance(paradigm, ReconParadigmConfig):
        return {}
    needed: dict[Modality, str] = {"picture": WITHOUT_PICTURES} if paradigm.image_weight > 0 else {}
    if paradigm.text_weight > 0 or paradigm.contrast_weight > 0:
        is_captions = paradigm.text == "captions"
        other = "class_names" if is_captions else "captions"
        needed["caption" if is_captions else "label"] = (
            f"set paradigm.text to {other}, or {_without_texts(paradigm)}"
        )
    return needed


def _without_texts(paradigm: ReconParadigmConfig) -> str:
    weights = [f"paradigm.{loss}_weight" for loss in ("text", "contrast") if paradigm.weights[loss] > 0]
    teacher = " and text_teacher to null" if paradigm.text_weight > 0 else ""
    return f"set {' and '.join(weights)} to 0{teacher}"


def require_given(paradigm: ParadigmConfig, data: DatasetConfig) -> None:
    """ValueError where the source is known to give nothing of what the paradigm learns of."""
    remedies: dict[Modality, str | None] = {
        "picture": remedy_for_pictures(data),
        "caption": remedy_for_captions(data),
        "label": None,
        "pixel": remedy_for_pixels(data),
    }
    for modality, otherwise in needed_by(paradigm).items():
        if (remedy := remedies[modality]) is not None:
            raise ValueError(
                f"paradigm {paradigm.kind} learns of {modality}s, and {data.name} has none: {remedy}, or"
                f" {otherwise}"
            )


def require_prepared(
    needed: Mapping[Modality, str],
    data: DatasetConfig,
    prepared: str,
    storage: Storage,
    splits: tuple[str, ...] = LEARNED_FROM,
) -> None:
    """DataError where the set `prepared` from `data` lacks something that its source could not answer for, in
    all of these splits."""
    given: dict[Modality, bool | None] = {
        "picture": data.source.gives_pictures,
        "caption": data.source.gives_captions,
        "label": None,
        "pixel": data.source.gives_cameras,
    }
    for modality, otherwise in needed.items():
        if given[modality] is None and not _has_any(storage, prepared, modality, splits):
            raise no_cloud_has(modality, prepared, otherwise, splits)


def _has_any(storage: Storage, prepared: str, modality: Modality, splits: tuple[str, ...]) -> bool:
    """Whether a cloud of these splits may have one; shards are read up to the first that has."""
    if modality == "label":
        return bool(read_dataset(storage, prepared).class_names)
    path = f"datasets/{prepared}"
    manifest = read_manifest(storage, path)
    assert manifest is not None, "it was prepared before it is asked"
    wanted = tuple(f"{split}-" for split in splits)
    names = [name for name in sorted(manifest.files) if name.startswith(wanted)]
    shards = (read_verified(storage, path, name, manifest) for name in names)
    if modality == "pixel":
        clouds = (prepared.cloud for shard in shards for prepared in decode_clouds(shard))
        return any(view.colour is not None and view.colour.has_camera for c in clouds for view in c.views)
    brought = (decode_attached(shard) for shard in shards)
    if modality == "caption":
        return any(any(one.captions) for one in brought)
    return any(one.pictures for one in brought)


def no_cloud_has(
    modality: Modality, prepared: str, remedy: str, splits: tuple[str, ...] = LEARNED_FROM
) -> DataError:
    """The error of splits without any."""
    purpose = " or ".join({"train": "training"}.get(split, split) for split in splits)
    return DataError(
        f"No cloud of {prepared} for {purpose} has a {BROUGHT.get(modality, modality)}.",
        expected=f"some with a {BROUGHT.get(modality, modality)}; others may lack theirs",
        remedy=remedy,
    )
