"""Configuration: one YAML file becomes one strict, frozen model, with every mistake named at once.

The models themselves live beside what they configure; this module only reads files. A mapping may
`extends` one other file (relative to its own), whose entries it then overrides; `--set a.b=c` overrides
both. Mappings merge, but one that brings its own `extends` takes the place of what was there. The same
dotted path works in YAML, on the command line, in a sweep and in a record.
"""

import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pointlab.errors import ConfigError
from pointlab.mistakes import in_words

Model = TypeVar("Model", bound=BaseModel)
SHA256 = re.compile(r"[0-9a-f]{64}")
ADDED_LATER: dict[str, JsonValue] = {"identity": "unless default"}
"""`json_schema_extra` of a field that was added when runs without it existed, and whose default asks for what
these did: they keep their identity, and stay found. A default of it must never change, so that it is for
single values: of a model, those within would have to stay too."""


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
    return merge(_cleared(_resolve(base, (*files, base_path)), mapping), own)


def _cleared(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with nothing where `override` as it is written has an `extends`: who names another file means
    that file, and not a mixture of two."""
    cleared = dict(base)
    for key, old in base.items():
        new = override.get(key)
        if isinstance(new, dict) and "extends" in new:
            cleared[key] = None
        elif isinstance(new, dict) and isinstance(old, dict):
            cleared[key] = _cleared(old, new)
    return cleared


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `override` on top; mappings merge, unless their `kind` changes.

    A mapping of numbers changes those entries of a list; ConfigError where it has no such entry.
    """
    merged = dict(base)
    for key, value in override.items():
        old = merged.get(key)
        if key in merged and old is None and _are_places(value):
            raise ConfigError(
                f"{key}.{min(value)} is set, but {key} is null, and has no entries.",
                remedy=f"write {key} out as a list first",
            )
        if isinstance(old, list | tuple) and _are_places(value):
            merged[key] = _with_entries(key, old, value)
            continue
        same_kind = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and ("kind" not in value or value["kind"] == old.get("kind"))
        )
        merged[key] = merge(old, value) if same_kind and isinstance(old, dict) else value
    return merged


def _are_places(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(str(place).isdecimal() for place in value)


def _with_entries(key: str, entries: Sequence[Any], changes: Mapping[str, Any]) -> list[Any]:
    """The list with other entries at some of its places, which count from 0."""
    numbered = {str(place): entry for place, entry in enumerate(entries)}
    for place in changes:
        if str(place) not in numbered:
            raise ConfigError(
                f"{key}.{place} is set, but {key} has {len(entries)} entries.",
                expected=f"a number below {len(entries)}, as entries count from 0",
                remedy=f"write {key} out with all its entries",
            )
    return list(merge(numbered, {str(place): value for place, value in changes.items()}).values())


def apply_overrides(
    mapping: dict[str, Any], assignments: Sequence[str], folder: Path = Path()
) -> dict[str, Any]:
    """`mapping` with every `a.b.c=value` set; values are YAML, so `[1, 2]`, `null` and `1e-3` work.

    A number in a path is a place in a list: `mixture.coefficients.0=0.1`.
    So does `{extends: file.yaml}`, relative to `folder`; it replaces what was there.
    """
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator or not dotted:
            raise ConfigError(
                f"--set got {assignment!r}.", expected="a dotted path and a value, such as seed=1"
            )
        value = nested(dotted, _parse_value(text, assignment))
        mapping = merge(_cleared(mapping, value), _resolve(value, (folder / "--set",)))
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
        lines = list(in_words(error, model, mapping))
        mistakes = "\n".join(f"  - {line}" for line in lines)
        raise ConfigError(f"{origin} has {len(lines)} mistake(s):\n{mistakes}\n") from None


def dump(model: BaseModel) -> str:
    """YAML text of `model` that reads back as an equal model."""
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False)
