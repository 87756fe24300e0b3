"""Which kind of source reads a folder, found by asking each of them for its index.

An index looks at names and headers, so the question is cheap. Readers of any folder at all are asked only
where no reader of a published layout knows it.
"""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pointlab.data.catalogue import CATALOGUE
from pointlab.data.dataset import DatasetConfig, SourceConfig
from pointlab.data.source import Source, SourceIndex
from pointlab.errors import DataError

MAX_FOLDERS = 60
"""Folders looked at: the one given and those up to two below it, as archives bring folders of their own."""

USUAL: dict[str, dict[str, Any]] = {"rgbd_frames": {"intrinsics": (585.0, 585.0, 320.0, 240.0)}}
"""Settings that some releases have no file for, by kind: the camera of 7-Scenes, as its authors give it."""


@dataclass(frozen=True)
class Fit:
    """A source that reads a folder, with what it found there.

    `guessed` are settings of the source that no file tells, each with what to say of it: those without a
    default for which other choices read the folder just as well, and those of `USUAL`.
    """

    folder: Path
    source: Source
    index: SourceIndex
    guessed: Mapping[str, str] = field(default_factory=dict)

    def settings(self, name: str, recommended: Mapping[str, Any]) -> dict[str, Any]:
        """A `prepare` experiment on this folder, as plain data; the source names what has no default.

        `recommended` are settings of a dataset that suit the kind; no more points are asked for than there
        are.
        """
        data: dict[str, Any] = {
            "name": name,
            "source": {"kind": self.kind, **self.source.model_dump(mode="json", exclude_unset=True)},
            "root": str(self.folder.absolute()),
            **recommended,
        }
        length = self.index.points_per_cloud or self._longest_of_some()
        wanted = data.get("num_points", DatasetConfig.model_fields["num_points"].default)
        if length is not None and length < wanted:
            data["num_points"] = length
        return {"kind": "prepare", "data": data}

    def _longest_of_some(self) -> int | None:
        """Points of the longest of a few clouds; None where they cannot be read, which a run will say."""
        rows = self.index.rows
        some = {rows[place] for place in (0, len(rows) // 2, -1)}
        try:
            clouds = self.source.read(self.folder, list(some))
        except DataError:
            return None
        return max(len(cloud.points) for cloud in clouds)

    @property
    def kind(self) -> str:
        """The kind to name in a configuration."""
        return kind_of(type(self.source))


def source_kinds() -> list[type[Source]]:
    """Every kind of source that reads files, readers of published layouts first."""
    (union, *_) = typing.get_args(SourceConfig)
    kinds = [kind for kind in typing.get_args(union) if kind.needs_root]
    return sorted(kinds, key=lambda kind: kind_of(kind) not in _published())


def kind_of(source: type[Source]) -> str:
    """The kind that a configuration names this class by."""
    return str(source.model_fields["kind"].default)


def detect(folder: Path) -> list[Fit]:
    """Every way to read `folder`, or what lies just below it; DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", remedy="check the path")
    kinds = source_kinds()
    published = [kind for kind in kinds if kind_of(kind) in _published()]
    fits: list[Fit] = []
    for group in (published, [kind for kind in kinds if kind not in published]):
        fits = fits or [fit for kind in group for fit in _fits_of(kind, folder)]
    if not fits:
        inside = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise DataError(
            f"No kind of source reads {folder}, which holds {inside}.",
            expected=f"the layout of one of {', '.join(sorted(map(kind_of, kinds)))}",
            remedy="unpack the official archive as it is; or write `source: {kind: ...}` yourself and run it,"
            " which says what that kind misses",
        )
    return fits


def _published() -> set[str]:
    return {kind for card in CATALOGUE.values() for kind in card.kinds}


def _fits_of(kind: type[Source], top: Path) -> Iterator[Fit]:
    """The folders that this kind reads; what lies below one of them belongs to it."""
    taken: list[Path] = []
    for folder in _folders(top):
        if any(folder.is_relative_to(other) for other in taken):
            continue
        fit = _fit_of(kind, folder)
        if fit is not None:
            taken.append(folder)
            yield fit


def _fit_of(kind: type[Source], folder: Path) -> Fit | None:
    """The first variant of this kind that finds clouds in the folder."""
    for source in _variants(kind, folder):
        index = _index(source, folder)
        if index is not None:
            return _with_companions(Fit(folder, source, index, dict(_guessed(source, folder))))
    return None


def _with_companions(fit: Fit) -> Fit:
    """The same with what lies beside the clouds, where that can be read too."""
    found = fit.source.found_beside(fit.folder, fit.index)
    if not found:
        return fit
    source = type(fit.source).model_validate(fit.source.model_dump(exclude_unset=True) | dict(found))
    index = _index(source, fit.folder)
    return fit if index is None else replace(fit, source=source, index=index)


def _index(source: Source, folder: Path) -> SourceIndex | None:
    try:
        index = source.index(folder)
    except DataError:
        return None
    return index if index.rows else None


def _guessed(source: Source, folder: Path) -> Iterator[tuple[str, str]]:
    """Settings that had to be given, and of which another choice would have fitted too, or of `USUAL`."""
    for name in USUAL.get(kind_of(type(source)), {}):
        if name in source.model_fields_set:
            yield name, f"no file tells the {name}; these are the usual ones: check, and give your own"
    for name, choices in _choices(type(source)).items():
        if type(source).model_fields[name].is_required():
            others = (choice for choice in choices if choice != getattr(source, name))
            if any(_index(source.model_copy(update={name: other}), folder) for other in others):
                yield name, "a guess that no file name tells: check it"


def _folders(top: Path) -> list[Path]:
    """The folder, its folders, and theirs, as far as they may be looked at."""
    found = [top]
    for depth in ("*", "*/*"):
        found += sorted(path for path in top.glob(depth) if path.is_dir())[: MAX_FOLDERS - len(found)]
    return found


def _variants(kind: type[Source], folder: Path) -> Iterator[Source]:
    """The source with its defaults, then with each other choice of one setting: which variant or lists.

    The same with a table of the folder follows, for a source that reads one, and with the settings of `USUAL`
    last, for a folder that needs them. Of axes, y comes first, as in most releases.
    """
    changes: list[dict[str, Any]] = [{}]
    for name, choices in _choices(kind).items():
        ordered = sorted(choices, key=lambda choice: choice != "y")
        changes += [{name: choice} for choice in ordered if choice != kind.model_fields[name].default]
    tables = sorted(path.name for path in folder.glob("*.csv")) if "csv" in kind.model_fields else []
    changes += [{**change, "csv": table} for change in changes for table in tables]
    usual = USUAL.get(kind_of(kind))
    if usual:
        changes += [{**change, **usual} for change in changes]
    for change in changes:
        try:
            yield kind(**change)
        except ValidationError:
            continue  # a setting that has no default, or that does not go with the others


def _choices(kind: type[Source]) -> dict[str, tuple[Any, ...]]:
    """The settings that are a choice among few words or numbers, with their choices."""
    return {
        name: typing.get_args(field.annotation)
        for name, field in kind.model_fields.items()
        if typing.get_origin(field.annotation) is Literal and name != "kind"
    }
