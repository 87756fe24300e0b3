"""What became of every key of an official checkpoint: nothing stays unexplained."""

from collections.abc import Mapping
from dataclasses import dataclass

Row = dict[str, float | str]
CHANGED = ("dropped", "missing", "converted")
"""Fates that keep an export from being the file that came in."""


@dataclass(frozen=True)
class KeyReport:
    """Every key of a file is in exactly one of the first three; what ours lack is in the next two."""

    mapped: Mapping[str, str]
    """Official key to `module.name` here."""
    unused: Mapping[str, str]
    """Kept for the way back, and not run; why."""
    dropped: Mapping[str, str]
    """Not kept; why."""
    missing: Mapping[str, str]
    """Official keys that this file lacks; how that was filled."""
    absent: Mapping[str, str]
    """Modules of the layout that the file has nothing of; what follows."""
    converted: Mapping[str, str]
    """Mapped keys whose tensors were stored as other kinds of numbers than they are here; as which."""

    @property
    def num_keys(self) -> int:
        """How many keys the file has."""
        return len(self.mapped) + len(self.unused) + len(self.dropped)

    def rows(self) -> list[Row]:
        """A row for each key, for a record."""
        fates = {
            "mapped": self.mapped,
            "unused": self.unused,
            "dropped": self.dropped,
            "missing": self.missing,
            "absent": self.absent,
        }
        return [
            {"key": key, "fate": fate, "meaning": meaning + self._precision(key)}
            for fate, keys in fates.items()
            for key, meaning in keys.items()
        ]

    def summary(self) -> list[Row]:
        """A row for each module and each explanation, for the eye."""
        modules: dict[str, int] = {}
        for target in self.mapped.values():
            module = target.partition(".")[0]
            modules[module] = modules.get(module, 0) + 1
        mapped: list[Row] = [_row("mapped", count, module) for module, count in modules.items()]
        others = {name: getattr(self, name) for name in ("unused", *CHANGED, "absent")}
        return mapped + [row for fate, keys in others.items() for row in _by_meaning(fate, keys)]

    def changes(self) -> list[Row]:
        """The rows of the summary that say what an export will have otherwise than the file."""
        return [row for row in self.summary() if row["fate"] in CHANGED]

    def _precision(self, key: str) -> str:
        return f" ({self.converted[key]})" if key in self.converted else ""


def _by_meaning(fate: str, keys: Mapping[str, str]) -> list[Row]:
    rows = []
    for meaning in dict.fromkeys(keys.values()):
        same = [key for key, each in keys.items() if each == meaning]
        shown = ", ".join(same[:3]) + (", …" if len(same) > 3 else "")
        rows.append(_row(fate, len(same), f"{meaning}: {shown}"))
    return rows


def _row(fate: str, count: int, meaning: str) -> Row:
    return {"fate": fate, "keys": float(count), "meaning": meaning}
