"""Configuration: one YAML file becomes one strict, frozen model, with every mistake named at once.

The models themselves live beside what they configure; this module only reads files. A mapping may
`extends` one other file (relative to its own), whose entries it then overrides; `--set a.b=c` overrides
both. The same dotted path works in YAML, on the command line, in a sweep and in a record.
"""

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pointlab.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str, ...]
SHA256 = re.compile(r"[0-9a-f]{64}")
ADDED_LATER: dict[str, JsonValue] = {"identity": "unless default"}
"""`json_schema_extra` of a field that was added when runs without it existed, and whose default asks for what
these did: they keep their identity, and stay found. A default of it must never change, so that it is for
single values: of a model, those within would have to stay too."""
ANY_KEY = "*"
"""Stands in a path of the models for the keys of a mapping, which are the user's own."""


class StrictModel(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused, defaults validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @property
    def without_effect(self) -> frozenset[str]:
        """Fields that nothing reads as the others stand: they are no part of what defines a result."""
        return frozenset()


def counts(value: Any, info: FieldInfo) -> bool:
    """Whether a field of this value is part of what defines a result, by its mark."""
    marked = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if (identity := marked.get("identity")) == ADDED_LATER["identity"]:
        return bool(value != info.get_default(call_default_factory=True))
    return identity is not False


def left_out(model: BaseModel) -> dict[str, Any]:
    """The fields of `model`, and of the models in it, that are no part of what defines a result.

    As `exclude` of a dump takes them.
    """
    found: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if not counts(value, info):
            found[name] = True
        elif isinstance(value, BaseModel) and (within := left_out(value)):
            found[name] = within
    return found


def require_different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values; ValueError where two of them are equal, which would be no choice."""
    if len(set(values)) < len(values):
        raise ValueError("expected values that differ: leave out what is there twice")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping in `path` with every `extends` resolved.

    Raises ConfigError for a file that is missing, is not YAML, is not a mapping, or extends itself by way of
    others.
    """
    return _resolve(_parse(path), (path,))


def _parse(path: Path, asked_by: str = "") -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {path}{asked_by}.", remedy="check the path"
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path} is a folder.", expected="a YAML file", remedy="name a file in it"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not readable YAML: {error}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}.", expected="a mapping of keys to values")
    return content


def _resolve(mapping: dict[str, Any], files: tuple[Path, ...]) -> dict[str, Any]:
    """`mapping` of the last of `files`, each of which is extended by the one before it."""
    own = {
        key: _resolve(value, files) if isinstance(value, dict) else value
        for key, value in mapping.items()
        if key != "extends"
    }
    if "extends" not in mapping:
        return own
    base_path = files[-1].parent / str(mapping["extends"])
    if base_path.resolve() in [file.resolve() for file in files]:
        chain = " extends ".join(map(str, (*files, base_path)))
        raise ConfigError(f"A file extends itself: {chain}.", remedy="extend a file that is complete")
    base = _parse(base_path, asked_by=f", which {files[-1]} extends")
    return merge(_resolve(base, (*files, base_path)), own)


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `override` on top; mappings merge, unless their `kind` changes."""
    merged = dict(base)
    for key, value in override.items():
        old = merged.get(key)
        same_kind = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and ("kind" not in value or value["kind"] == old.get("kind"))
        )
        merged[key] = merge(old, value) if same_kind and isinstance(old, dict) else value
    return merged


def apply_overrides(mapping: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`mapping` with every `a.b.c=value` set; values are YAML, so `[1, 2]`, `null` and `1e-3` work.

    So does `{extends: file.yaml}`, relative to the working directory.
    """
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator or not dotted:
            raise ConfigError(
                f"--set got {assignment!r}.", expected="a dotted path and a value, such as seed=1"
            )
        value = nested(dotted, _parse_value(text, assignment))
        mapping = merge(mapping, _resolve(value, (Path("--set"),)))
    return mapping


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """The mapping that holds `value` under the dotted path: `a.b`, 1 -> {a: {b: 1}}."""
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return typing.cast(dict[str, Any], value)


def _parse_value(text: str, assignment: str) -> Any:
    if SHA256.fullmatch(text):
        return text  # one of digits alone, or with one e, would be a number
    try:
        value = yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {assignment} has a value that is not YAML: {error}.",
            expected="a YAML value, such as 3, 1e-3, null or [1, 2]",
        ) from None
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except ValueError:
            return value
    return value


def validate(model: Any, mapping: Mapping[str, Any], origin: str) -> Any:
    """Instance of `model` (a class or a union of them) from `mapping`; ConfigError lists every mistake."""
    try:
        return TypeAdapter(model).validate_python(mapping)
    except ValidationError as error:
        mistakes = "\n".join(f"  - {line}" for line in _describe(error, model, mapping))
        raise ConfigError(f"{origin} has {error.error_count()} mistake(s):\n{mistakes}\n") from None


def _describe(error: ValidationError, model: Any, mapping: Mapping[str, Any]) -> Iterator[str]:
    for entry in error.errors():
        path = _settable_path(entry["loc"], mapping)
        where = ".".join(path)
        if entry["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            yield _describe_kind([*path, "kind"], entry)
        elif entry["type"] == "extra_forbidden":
            yield f"{where}: unknown key{_hint(path, model)}"
        elif entry["type"] in {"model_type", "model_attributes_type"}:
            yield f"{where}: {_expected_mapping(path, known_paths(model))} (found {entry['input']!r:.80})"
        else:
            yield f"{where}: {_in_words(entry)}" if where else _in_words(entry)


def _in_words(entry: Any) -> str:
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
    path, current = [], mapping
    for number, part in enumerate(location):
        is_last = number == len(location) - 1
        if isinstance(current, Mapping) and part not in current and not is_last:
            continue
        path.append(str(part))
        current = current.get(part) if isinstance(current, Mapping) else None
    return path


def _hint(path: list[str], model: Any) -> str:
    """What an unknown key may have been meant as: one beside it by its name, others by their paths."""
    *parents, wrong = path
    at_hand = [_placed(each, path) for each in known_paths(model)]
    if tuple(path) in at_hand:
        kinds = sorted(
            {each.model_fields["kind"].default for each in _models_at(model, parents) if _has(each, wrong)}
        )
        having = f"the kind {kinds[0]} has it" if len(kinds) == 1 else f"the kinds {', '.join(kinds)} have it"
        return f" of this {'.'.join([*parents, 'kind'])}; {having if kinds else 'another kind has it'}"
    names = difflib.get_close_matches(wrong, {each[-1] for each in at_hand}, n=1, cutoff=0.5)
    found = [each for each in at_hand if names and each[-1] == names[0]]
    if not found:
        return ""
    nearest = min(found, key=lambda each: (-_common(each, path), len(each)))
    told = nearest[-1] if list(nearest[:-1]) == parents else ".".join(nearest)
    return f"; did you mean {told!r}?"


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


def known_paths(kind: Any, path: KeyPath = (), within: tuple[type[BaseModel], ...] = ()) -> Iterator[KeyPath]:
    """The path of every field reachable from `kind`, `*` for each key of a mapping; a model within itself
    once, as a pretraining within the one that starts from it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if within.count(kind) < 2:
            for name, field in kind.model_fields.items():
                yield (*path, name)
                yield from known_paths(field.annotation, (*path, name), (*within, kind))
        return
    if typing.get_origin(kind) in {dict, Mapping}:
        yield from known_paths(typing.get_args(kind)[1], (*path, ANY_KEY), within)
        return
    for argument in typing.get_args(kind):
        yield from known_paths(argument, path, within)


def dump(model: BaseModel) -> str:
    """YAML text of `model` that reads back as an equal model."""
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False)
