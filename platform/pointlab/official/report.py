"""What became of every key of an official checkpoint: nothing stays unexplained."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyReport:
    """Every key of a file is in exactly one of the first three; what ours lack is in the last."""

    mapped: dict[str, str] = field(default_factory=dict)
    """Official key to `module.name` here."""
    unused: dict[str, str] = field(default_factory=dict)
    """Kept for the way back, and not run; why."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Not kept; why."""
    missing: dict[str, str] = field(default_factory=dict)
    """Official keys, or beginnings of them, that this file lacks; how that was filled."""
    converted: dict[str, str] = field(default_factory=dict)
    """Mapped keys whose tensors were stored with another precision than float32: that one."""

    @property
    def num_keys(self) -> int:
        """How many keys the file has."""
        return len(self.mapped) + len(self.unused) + len(self.dropped)

    def rows(self) -> list[dict[str, float | str]]:
        """A row for each key, for a record."""
        fates = {
            "mapped": self.mapped,
            "unused": self.unused,
            "dropped": self.dropped,
            "missing": self.missing,
        }
        return [
            {"key": key, "fate": fate, "meaning": meaning + self._precision(key)}
            for fate, keys in fates.items()
            for key, meaning in keys.items()
        ]

    def summary(self) -> list[dict[str, float | str]]:
        """A row for each module and each explanation, for the eye."""
        modules: dict[str, int] = {}
        for target in self.mapped.values():
            module = target.partition(".")[0]
            modules[module] = modules.get(module, 0) + 1
        rows: list[dict[str, float | str]] = [
            {"fate": "mapped", "keys": float(count), "meaning": module} for module, count in modules.items()
        ]
        for fate, keys in (("unused", self.unused), ("dropped", self.dropped), ("missing", self.missing)):
            for meaning in dict.fromkeys(keys.values()):
                same = [key for key, each in keys.items() if each == meaning]
                shown = ", ".join(same[:3]) + (", …" if len(same) > 3 else "")
                rows.append({"fate": fate, "keys": float(len(same)), "meaning": f"{meaning}: {shown}"})
        return rows

    def _precision(self, key: str) -> str:
        return f" (stored as {self.converted[key]})" if key in self.converted else ""
