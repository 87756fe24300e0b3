"""What a pretraining learns of pixels: a teacher's maps of all pictures in a table, or the teacher itself."""

from functools import partial

import torch

from pointlab.data.cached_pixels import in_words
from pointlab.errors import DataError
from pointlab.experiment.features import Watch, unwatched
from pointlab.experiment.modalities import needed_by
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.providers import teacher_folder
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.set_pictures import decoded, numbers_of_all, require_one_size
from pointlab.experiment.stored_models import seeded
from pointlab.objectives.pixels import KnownMaps, PixelMaps, SeenMaps
from pointlab.paradigms import ParadigmConfig, PpktConfig
from pointlab.storage import Storage
from pointlab.teachers import ImageMaps, cached_image_maps


def build_pixel_maps(
    resolved: Resolved[PretrainExperiment],
    storage: Storage,
    data: Data,
    device: torch.device,
    watch: Watch = unwatched,
) -> dict[str, PixelMaps]:
    """The `image_teacher` of PPKT; nothing for other paradigms.

    What a table holds is computed now, on `device`, unless this machine has it. Raises DataError where no
    point to be trained on has a pixel and where pictures differ in size, and ConfigError for pictures that
    the teacher cannot take.
    """
    paradigm = resolved.experiment.paradigm
    if not isinstance(paradigm, PpktConfig):
        return {}
    _require_pixels(paradigm, data)
    folder = teacher_folder(resolved, "image_teacher", storage)
    splits = [data.split(name) for name in data.learned_from]
    if paradigm.picture_size is None:
        require_one_size(splits)
    numbers, shown = numbers_of_all(splits), partial(decoded, splits, crop=paradigm.picture_crop)
    _, height, width, _ = shown(numbers[:1]).shape
    with seeded("teacher"):  # what is drawn before weights are read leaves torch's generator where it was
        if paradigm.picture_augmentation is not None:
            network = ImageMaps(folder)
            network.require_size(height, width)
            return {"image_teacher": SeenMaps(network)}
        told = partial(watch, "pictures")
        table = cached_image_maps(folder, numbers, shown, data.name, device, watch=told)
    return {"image_teacher": KnownMaps(table, (height, width))}


def notes_on_pixels(paradigm: ParadigmConfig, data: Data) -> dict[str, str]:
    """How many points PPKT's pictures show, and why not the others; nothing for other paradigms."""
    if not isinstance(paradigm, PpktConfig):
        return {}
    return {"pixels": in_words(data.split("train").pixel_counts)}


def _require_pixels(paradigm: PpktConfig, data: Data) -> None:
    """DataError where no picture for training shows a point; validation may lack them."""
    counts = data.split("train").pixel_counts
    if counts["seen"] == 0:
        raise DataError(
            f"No picture of {data.name} for training shows a point of its cloud: {in_words(counts)}.",
            expected="points to learn that have pixels",
            remedy=needed_by(paradigm)["pixel"],
        )
