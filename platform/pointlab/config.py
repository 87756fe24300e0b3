"""Configuration: one YAML file becomes one strict, frozen model, with every mistake named at once.

The models themselves live beside what they configure; this module only reads files. A mapping may
`extends` one other file (relative to its own), whose entries it then overrides; `--set a.b=c` overrides
both. The same dotted path works in YAML, on the command line, in a sweep and in a record.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pointlab.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused, defaults validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


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
    """`mapping` with every `a.b.c=value` set; values are YAML, so `[1, 2]`, `null` and `1e-3` work."""
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator or not dotted:
            raise ConfigError(
                f"--set got {assignment!r}.", expected="a dotted path and a value, such as seed=1"
            )
        mapping = merge(mapping, nested(dotted, _parse_value(text, assignment)))
    return mapping


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """The mapping that holds `value` under the dotted path: `a.b`, 1 -> {a: {b: 1}}."""
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return typing.cast(dict[str, Any], value)


def _parse_value(text: str, assignment: str) -> Any:
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
            close = difflib.get_close_matches(path[-1], list(_known_keys(model)), n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield f"{where}: unknown key{hint}"
        else:
            yield f"{where}: {_in_words(entry)}"


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


def _known_keys(model: Any) -> set[str]:
    """Names of every field reachable from `model`; enough to find the nearest one to a misspelling."""
    found: set[str] = set()
    seen: set[Any] = set()
    pending = [model]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
            seen.add(kind)
            found |= set(kind.model_fields)
            pending += [field.annotation for field in kind.model_fields.values()]
        pending += [argument for argument in typing.get_args(kind) if argument is not kind]
    return found


def dump(model: BaseModel) -> str:
    """YAML text of `model` that reads back as an equal model."""
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False)
