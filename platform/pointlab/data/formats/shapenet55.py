"""ShapeNet-55, ShapeNet-34 and its 21 unseen categories: 8192 points a cloud, perhaps pictures and captions.

The lists of PoinTr (Yu et al., ICCV 2021; github.com/yuxumin/PoinTr), the pictures and texts of ReCon (Qi et
al., ICML 2023), or others below the same folder. `ShapeNet55-34` holds

    ShapeNet-55/{train,test}.txt      names such as 02691156-1a04e3eab45ca15dd86060f189eb133.npy
    ShapeNet-34/, ShapeNet-Unseen21/  likewise, of the categories that they are named by
    shapenet_pc/<name>                (8192, 3)
    shapenet_img/<same>.png           one rendering a shape, of unknown origin: by which camera is not said
    shapenet55.json                   [{"catalogue": 2691156, "describe": "..."}, ...], a text a category

A class is a synset (WordNet offset, what stands before the first dash); labels are places in the sorted
synsets of the lists. The rest of the name, dashes included, is the model. An object without picture or
caption stays, and is counted.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field, PositiveInt, field_validator

from pointlab.config import ADDED_LATER
from pointlab.data.catalogue import UNKNOWN, Card
from pointlab.data.catalogue.objects import SHAPENET55
from pointlab.data.catalogue.shapenet import SYNSETS
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.modelnet import require_points
from pointlab.data.formats.npy import open_npy, require_points_array
from pointlab.data.formats.picture_patterns import find_pictures, require_below, require_pattern
from pointlab.data.formats.renderings import read_rendering, require_one_size
from pointlab.data.formats.shapenet_companions import companions
from pointlab.data.formats.shapenet_texts import read_texts, text_of
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
SPLITS: tuple[Split, ...] = ("train", "test")
LISTS = {
    "55": ("ShapeNet-55",),
    "34": ("ShapeNet-34",),
    "unseen21": ("ShapeNet-Unseen21", "ShapeNetUnseen21"),
}
CLOUDS = "shapenet_pc"
LOOKED_AT = 20
"""Objects whose pictures and texts are looked for in a folder that nobody has described."""
WITHOUT_MODEL = ("04379243-.npy", "02747177-.npy")
"""Rows of the official lists that name no model."""


class ShapeNet55(Source):
    """Clouds of ShapeNetCore by the lists of PoinTr, in the unit sphere or nearly so."""

    to_give_pictures: ClassVar[str] = (
        "set data.source.pictures to where they lie, such as shapenet_img/{synset}-{model}.png"
    )
    to_give_captions: ClassVar[str] = (
        "set data.source.captions to the file that holds them, such as shapenet55.json"
    )
    kind: Literal["shapenet55"] = "shapenet55"
    subset: Literal["55", "34", "unseen21"] = "55"
    """Which lists; 55, on which self-supervised methods are trained."""
    pictures: str | None = None
    """Where the pictures of each object lie below the root, such as "shapenet_img/{synset}-{model}.png", the
    release's, or "rendering/{synset}/{model}/*.png"; none by default, as only cross-modal training needs
    them."""
    captions: str | None = None
    """A JSON file below the root with a text by model, <synset>-<model> or synset, or in the release's form,
    shapenet55.json; none by default, as only cross-modal training needs it."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud (they are in random order); None, as released: all."""
    origin: str | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """What a set of your own in this layout is, and of whom; null, it is the release."""
    licence: str | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Terms of use of a set of your own; null, those of the release, unless `origin` is given."""

    @property
    def gives_pictures(self) -> bool:
        """If they are asked for: a set without any of what is asked for is refused."""
        return self.pictures is not None

    @property
    def gives_captions(self) -> bool:
        """Likewise."""
        return self.captions is not None

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all listed shapes; beside the lists only names and the headers of pictures are read."""
        folder = require_root(root, self.kind)
        lists = [f"{self._lists_folder(folder)}/{split}.txt" for split in SPLITS]
        listed = read_lists(*(folder / name for name in lists))
        pairs = zip(SPLITS, listed, strict=True)
        names = [(split, name) for split, part in pairs for name in part if name not in WITHOUT_MODEL]
        num_defects = sum(map(len, listed)) - len(names)
        if num_defects:
            logger.warning("%d rows of the lists in %s name no model: left out", num_defects, folder)
        objects = [_object(name, folder) for _, name in names]
        synsets = sorted({synset for synset, _ in objects})
        rows = [
            SourceRow(f"{CLOUDS}/{name}", 0, split, synsets.index(synset))
            for (split, name), (synset, _) in zip(names, objects, strict=True)
        ]
        clouds = [row.file for row in rows]
        _require_present(folder, clouds)
        pictures = [self._find_pictures(folder, *each) for each in objects]
        require_one_size(folder / name for name in chain(*pictures))
        defects = {"list row without a model": num_defects, **self._num_lacking(folder, objects, pictures)}
        return SourceIndex(
            class_names=tuple(SYNSETS.get(synset, synset) for synset in synsets),
            rows=tuple(rows),
            files=(*lists, *([self.captions] if self.captions else []), *clouds, *chain(*pictures)),
            points_per_cloud=self.num_points,
            card=self._card(),
            defects={name: count for name, count in defects.items() if count},
        )

    def found_beside(self, root: Path, index: SourceIndex) -> Mapping[str, Any]:
        """Where pictures and captions of the first objects seem to lie."""
        return companions(root, [_object(row.file, root) for row in index.rows[:LOOKED_AT]])

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with what was asked for of pictures and text."""
        folder = require_root(root, self.kind)
        texts = self._texts(folder)
        return [self._read_cloud(folder, row, texts) for row in rows]

    def _read_cloud(self, folder: Path, row: SourceRow, texts: Mapping[str, str]) -> Cloud:
        synset, model = _object(row.file, folder)
        return Cloud(
            self._read_points(folder / row.file),
            label=row.label,
            caption=text_of(texts, synset, model),
            views=tuple(read_rendering(folder / name) for name in self._find_pictures(folder, synset, model)),
        )

    @field_validator("pictures")
    @classmethod
    def _is_a_pattern(cls, pictures: str | None) -> str | None:
        return None if pictures is None else require_pattern(pictures)

    @field_validator("captions")
    @classmethod
    def _is_below_the_root(cls, captions: str | None) -> str | None:
        return None if captions is None else require_below(captions)

    def _card(self) -> Card:
        """That of the release, unless origin or licence say that this is another set in its layout."""
        if self.origin is None and self.licence is None:
            return SHAPENET55
        return replace(
            UNKNOWN,
            title=self.origin or UNKNOWN.title,
            licence=self.licence or UNKNOWN.licence,
            known_defects=SHAPENET55.known_defects,
        )

    def _find_pictures(self, folder: Path, synset: str, model: str) -> list[str]:
        return find_pictures(folder, self.pictures, synset, model) if self.pictures else []

    def _texts(self, folder: Path) -> Mapping[str, str]:
        return read_texts(folder / self.captions) if self.captions else {}

    def _num_lacking(
        self, folder: Path, objects: list[tuple[str, str]], pictures: list[list[str]]
    ) -> dict[str, int]:
        """How many objects lack a picture and a caption, of what is asked for."""
        texts = self._texts(folder)
        captions = [text_of(texts, *each) for each in objects]
        return {
            "object without a picture": _num_empty(pictures, "picture", self.pictures, folder),
            "object without a caption": _num_empty(captions, "caption", self.captions, folder),
        }

    def _lists_folder(self, folder: Path) -> str:
        names = LISTS[self.subset]
        found = [name for name in names if (folder / name).is_dir()]
        if not found:
            raise DataError(
                f"{folder} holds no folder {names[0]}.",
                expected=f"{names[0]} with train.txt and test.txt, beside {CLOUDS}",
                remedy="set `root` to the folder ShapeNet55-34; lists are in the code release of PoinTr, and"
                " docs/data.md shows those of a set of your own",
            )
        return found[0]

    def _read_points(self, path: Path) -> Float32[np.ndarray, "points 3"]:
        stored = open_npy(path)
        require_points_array(stored, path, ndim=2)
        return np.array(stored[: require_points(path, len(stored), self.num_points)], dtype=np.float32)


def _object(cloud: str, folder: Path) -> tuple[str, str]:
    """Synset and model by the name of a cloud's file; DataError where it has none before its first dash.

    A model is the name of a folder in some releases, so that "." and ".." are none.
    """
    name = Path(cloud).name
    synset, _, model = name.removesuffix(".npy").partition("-")
    is_named = len(synset) == 8 and synset.isdigit() and model not in ("", ".", "..")
    if not (is_named and name.endswith(".npy")):
        raise DataError(
            f"A list in {folder} has the row {name!r}.",
            expected="<synset of 8 digits>-<model>.npy",
            remedy="restore the lists of the release, or rename the clouds of your own",
        )
    return synset, model


def _num_empty(found: Sequence[object], what: str, where: str | None, folder: Path) -> int:
    """For how many objects nothing was found, if it was looked for; DataError where for all of them."""
    num_empty = 0 if where is None else sum(not one for one in found)
    if num_empty and num_empty == len(found):
        raise DataError(
            f"{where} below {folder} has no {what} of any of {len(found)} listed objects.",
            expected="synsets and models as the lists name them",
            remedy=f"compare a name there with a row of the lists, or set {what}s to null",
        )
    if num_empty:
        logger.warning("%d of %d objects have no %s by %s", num_empty, len(found), what, folder / str(where))
    return num_empty


def _require_present(folder: Path, files: list[str]) -> None:
    """DataError unless all of the files, which lie in few folders, are there."""
    parents = {Path(file).parent.as_posix() for file in files}
    present = {
        f"{parent}/{entry.name}"
        for parent in parents
        if (folder / parent).is_dir()
        for entry in os.scandir(folder / parent)
    }
    absent = [file for file in files if file not in present]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(files)} files are missing, the first is {folder / absent[0]}.",
            expected="every file that the lists name",
            remedy="unpack the release again, all of its parts, or take what your own lists lack out of them",
        )
