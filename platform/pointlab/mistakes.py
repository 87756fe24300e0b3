"""What is said of a configuration's mistakes: each by its path, with what may have been meant.

Paths are those that YAML and `--set` take. A key that nobody knows is compared with all that the models have.
"""

import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

KeyPath = tuple[str, ...]
WANTED = {
    "tuple_type": "a list",
    "list_type": "a list",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
}
"""What a value was to be, in words, where its type alone is wrong."""
ANY_KEY = "*"
"""Stands in a path of the models for the keys of a mapping, which are the user's own."""


def in_words(error: ValidationError, model: Any, mapping: Mapping[str, Any]) -> Iterator[str]:
    """A line for each mistake in `mapping`, which was to become `model` (a class or a union of them)."""
    found: dict[str, list[Any]] = {}
    for entry in error.errors():
        found.setdefault(".".join(_settable_path(entry["loc"], mapping)), []).append(entry)
    for where, entries in found.items():
        if entries[0]["type"] == "too_short" and any(each.startswith(f"{where}.") for each in found):
            continue  # only for want of what is wrong itself
        wanted = [WANTED[entry["type"]] for entry in entries if entry["type"] in WANTED]
        if len(wanted) == len(entries):  # all that a field may be were tried, one after the other
            yield f"{where}: expected {' or '.join(wanted)} (found {entries[0]['input']!r:.80})"
        else:
            yield from (_in_words(entry, model, mapping) for entry in entries)


def _in_words(entry: Any, model: Any, mapping: Mapping[str, Any]) -> str:
    """The line of one mistake."""
    path = _settable_path(entry["loc"], mapping)
    where = ".".join(path)
    if entry["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return _describe_kind([*path, "kind"], entry)
    if entry["type"] == "extra_forbidden":
        return f"{where}: unknown key{_hint(path, model)}"
    if entry["type"] in {"model_type", "model_attributes_type"}:
        return f"{where}: {_expected_mapping(path, _known_paths(model))} (found {entry['input']!r:.80})"
    return f"{where}: {_objection(entry)}" if where else _objection(entry)


def _objection(entry: Any) -> str:
    """A model's own objection as it was written; of a single value also what was found."""
    if isinstance(entry["input"], Mapping):
        return str(entry["msg"]).removeprefix("Value error, ")
    return f"{entry['msg'].removeprefix('Value error, ')} (found {entry['input']!r:.80})"


def _describe_kind(path: list[str], entry: Any) -> str:
    """What to say of a `kind` that is missing or unknown."""
    known = entry["ctx"].get("expected_tags", "")
    found = entry["ctx"].get("tag")
    expected = f"; expected one of {known}" if known else "; a kind is needed"
    tags = [tag.strip("' ") for tag in known.split(",")]
    close = difflib.get_close_matches(found, tags, n=1) if found else []
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{'.'.join(path)}: {f'unknown kind {found!r}' if found else 'missing'}{expected}{hint}"


def _settable_path(location: tuple[str | int, ...], mapping: Any) -> list[str]:
    """The path as `--set` takes it: without the names of the union members that pydantic tried."""
    path: list[str] = []
    current = mapping
    for number, part in enumerate(location):
        is_last = number == len(location) - 1
        if isinstance(current, Mapping):
            if part not in current and not is_last:
                continue
            current = current.get(part)
        elif isinstance(current, Sequence) and not isinstance(current, str) and isinstance(part, int):
            current = current[part] if part < len(current) else None
        else:
            continue
        path.append(str(part))
    return path


def _hint(path: list[str], model: Any) -> str:
    """What an unknown key may have been meant as: one beside it by its name, others by their paths."""
    *parents, wrong = path
    at_hand = [_placed(each, path) for each in _known_paths(model)]
    if tuple(path) in at_hand:
        kinds = sorted(
            {each.model_fields["kind"].default for each in _models_at(model, parents) if _has(each, wrong)}
        )
        having = f"the kind {kinds[0]} has it" if len(kinds) == 1 else f"the kinds {', '.join(kinds)} have it"
        return f" of this {'.'.join([*parents, 'kind'])}; {having if kinds else 'another kind has it'}"
    beside = [each for each in at_hand if list(each[:-1]) == parents]
    found = _closest(wrong, beside, cutoff=0.75) or _closest(wrong, at_hand, cutoff=0.5)
    if not found:
        return ""
    nearest = min(found, key=lambda each: (-_common(each, path), len(each)))
    told = nearest[-1] if list(nearest[:-1]) == parents else ".".join(nearest)
    return f"; did you mean {told!r}?"


def _closest(wrong: str, known: Sequence[KeyPath], *, cutoff: float) -> list[KeyPath]:
    """Those whose last key is the most like `wrong`, if any is so alike."""
    names = difflib.get_close_matches(wrong, {each[-1] for each in known}, n=1, cutoff=cutoff)
    return [each for each in known if each[-1] in names]


def _has(model: type[BaseModel], key: str) -> bool:
    """Whether this is a member of a union by kind with such a key."""
    return key in model.model_fields and isinstance(
        getattr(model.model_fields.get("kind"), "default", None), str
    )


def _models_at(kind: Any, path: Sequence[str]) -> Iterator[type[BaseModel]]:
    """The models that may stand at `path` within `kind`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            yield kind
        elif path[0] in kind.model_fields:
            yield from _models_at(kind.model_fields[path[0]].annotation, path[1:])
    elif typing.get_origin(kind) in {dict, Mapping}:
        if path:
            yield from _models_at(typing.get_args(kind)[1], path[1:])
    else:
        for argument in typing.get_args(kind):
            yield from _models_at(argument, path)


def _expected_mapping(path: list[str], known: Iterable[KeyPath]) -> str:
    """What to write in place of a single value where a mapping belongs."""
    keys = [each[-1] for each in known if list(_placed(each, path)[:-1]) == path]
    if {"kind", "launch"} <= set(keys):
        return (
            "expected an experiment, written out or as {extends: FILE}; a finished run is found by such"
            " settings, not by its name"
        )
    return f"expected a mapping with some of the keys {', '.join(dict.fromkeys(keys))}"


def _placed(known: KeyPath, path: Sequence[str]) -> KeyPath:
    """A known path with the keys of mappings as `path` has them, as far as it goes there."""
    placed = list(known)
    for place, (key, given) in enumerate(zip(known, path, strict=False)):
        if key not in (given, ANY_KEY):
            break
        placed[place] = given
    return tuple(placed)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many keys two paths share from their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _known_paths(
    kind: Any, path: KeyPath = (), within: tuple[type[BaseModel], ...] = ()
) -> Iterator[KeyPath]:
    """The path of every field reachable from `kind`, `*` for each key of a mapping; a model within itself
    once, as a pretraining within the one that starts from it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if within.count(kind) < 2:
            for name, field in kind.model_fields.items():
                yield (*path, name)
                yield from _known_paths(field.annotation, (*path, name), (*within, kind))
        return
    if typing.get_origin(kind) in {dict, Mapping}:
        yield from _known_paths(typing.get_args(kind)[1], (*path, ANY_KEY), within)
        return
    for argument in typing.get_args(kind):
        yield from _known_paths(argument, path, within)
