"""Networks of pictures and words that teach point networks; `transformers` is imported only when one is asked
for."""

from collections.abc import Callable, Mapping

from pointlab.data.picture_augmentation import PictureAugmentation
from pointlab.teachers.base import Teacher
from pointlab.teachers.caching import cached_image_features, cached_image_maps, cached_text_features
from pointlab.teachers.classifier import PictureClassifier
from pointlab.teachers.features import image_features, text_features
from pointlab.teachers.folders import find_folder, hash_of, require_hash
from pointlab.teachers.foreign import foreign_transformer, random_foreign_transformer
from pointlab.teachers.identity import architecture_of, identity_of
from pointlab.teachers.image_maps import ImageMaps
from pointlab.teachers.image_teacher import ImageTeacher
from pointlab.teachers.settings import ClipConfig, NetworkConfig, ResNetConfig, VitConfig
from pointlab.teachers.text_teacher import TextTeacher
from pointlab.teachers.two_towers import TwoTowers


def build_teacher(
    network: NetworkConfig,
    augmentation: PictureAugmentation,
    class_names: tuple[str, ...],
    captions: Callable[[], Mapping[int, str]],
) -> Teacher:
    """The network in training, with new weights; `captions`, by hash, are fetched only where it reads."""
    if isinstance(network, ClipConfig):
        return TwoTowers(network, augmentation, captions, class_names)
    return PictureClassifier(network, augmentation, class_names)


__all__ = [
    "ClipConfig",
    "ImageMaps",
    "ImageTeacher",
    "NetworkConfig",
    "PictureAugmentation",
    "ResNetConfig",
    "Teacher",
    "TextTeacher",
    "VitConfig",
    "architecture_of",
    "build_teacher",
    "cached_image_features",
    "cached_image_maps",
    "cached_text_features",
    "find_folder",
    "foreign_transformer",
    "hash_of",
    "identity_of",
    "image_features",
    "random_foreign_transformer",
    "require_hash",
    "text_features",
]
