"""Which of the finished runs `pointlab show` shows, and in which order."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from pointlab.errors import PointlabError
from pointlab.storage import Record

Value = Any
"""What a setting may be: a number, a word, a truth value, nothing, or a list."""
NOT_SETTINGS = {"config", "curves", "metrics"}


@dataclass(frozen=True)
class Selection:
    """What is asked of the runs; the defaults ask for all, in the order of their names."""

    kind: str | None = None
    where: tuple[str, ...] = ()
    """Each `key=value`: a dotted path of the config, or what else a record says, such as `protocol`."""
    sort: str | None = None
    """A metric, the highest first, or such a key, the least first."""
    last: int | None = None
    """So many that were finished last."""

    def of(self, records: Sequence[Record]) -> list[Record]:
        """The records asked for; PointlabError for a key or metric that none of them has."""
        found = [record for record in records if self.kind in (None, record.kind)]
        for condition in self.where:
            key, separator, text = condition.partition("=")
            if not separator:
                raise PointlabError(
                    f"--where got {condition!r}.", expected="a key and a value, such as protocol='full*'"
                )
            _require_known(key, found, "--where")
            found = [record for record in found if any(_is(value, text) for value in said_of(record, key))]
        if self.last is not None:
            newest = sorted(found, key=lambda record: record.finished)[-self.last :]
            found = [record for record in found if record in newest]
        return found if self.sort is None else _sorted(found, self.sort)


def said_of(record: Record, key: str) -> list[Value]:
    """What the record and its config say under this key: two values where both do, of other things."""
    own = _flat(record.model_dump(mode="json", exclude=NOT_SETTINGS))
    return [values[key] for values in (own, settings_of(record)) if key in values]


def settings_of(record: Record) -> dict[str, Value]:
    """Every setting of the run, by its dotted path."""
    return _flat(record.config)


def require_metrics(names: Iterable[str], records: Sequence[Record]) -> None:
    """PointlabError for a metric that none of the records has, with the names of those like it."""
    known = {name for record in records for name in record.metrics}
    for name in names:
        if records and name not in known:
            raise _unknown(f"--metric names {name!r}", known, name)


def _sorted(records: Sequence[Record], key: str) -> list[Record]:
    """Runs that lack the key come last."""
    if any(key in record.metrics for record in records):
        return sorted(records, key=lambda record: -record.metrics.get(key, float("-inf")))
    _require_known(key, records, "--sort")
    return sorted(records, key=lambda record: _place(said_of(record, key)))


def _place(values: Sequence[Value]) -> tuple[bool, bool, float, str]:
    """Numbers before words, and nothing at the end."""
    if not values or values[0] is None:
        return True, True, 0.0, ""
    is_word = not isinstance(values[0], int | float)
    return False, is_word, 0.0 if is_word else float(values[0]), str(values[0])


def _require_known(key: str, records: Sequence[Record], option: str) -> None:
    if records and not any(said_of(record, key) for record in records):
        known = {name for record in records for name in (*settings_of(record), *record.metrics)}
        known |= Record.model_fields.keys() - NOT_SETTINGS
        raise _unknown(f"{option} names {key!r}", known, key)


def _unknown(what: str, known: set[str], name: str) -> PointlabError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return PointlabError(
        f"{what}, which none of these runs has.",
        expected=f"a name such as {', '.join(near)}" if near else "a name that their records have",
        remedy="see what there is with pointlab show RUN --json",
    )


def _is(value: Value, text: str) -> bool:
    """Whether a recorded value is what was asked for; words by a pattern such as `full*`."""
    if isinstance(value, str):
        return fnmatchcase(value, text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(text) == value
    try:
        return bool(yaml.safe_load(text) == value)
    except yaml.YAMLError:
        return False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _flat(settings: Mapping[str, Any]) -> dict[str, Value]:
    """All that is not a mapping itself, by its dotted path; an empty mapping stands for itself."""
    return dict(_leaves(settings, ()))


def _leaves(settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Value]]:
    for key, value in settings.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield ".".join(here), value
