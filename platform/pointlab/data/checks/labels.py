"""Labels: classes that a split lacks, and splits that have no clouds."""

from collections.abc import Mapping, Sequence

import numpy as np

from pointlab.data.checks.examination import NO_LABEL
from pointlab.data.checks.findings import NUM_SAMPLE_IDS, Finding, Severity, first_ids
from pointlab.data.source import SPLITS, Split

CHECK = "labels"


def check_labels(by_split: Mapping[Split, np.ndarray], class_names: Sequence[str]) -> list[Finding]:
    """Missing splits, missing labels, and classes that are nowhere, not in train, or not in test."""
    found = _check_splits(by_split)
    records = np.concatenate([*by_split.values()])
    is_without = records["label"] == NO_LABEL
    if is_without.all():
        return found
    if is_without.any():
        ids = records["id"][is_without].tolist()
        message = f"{len(ids)} of {len(records)} clouds have no label, others have one; label all or none"
        found.append(_finding("warning", len(ids), len(records), message, ids))
    return found + _check_classes(by_split, class_names)


def _check_splits(by_split: Mapping[Split, np.ndarray]) -> list[Finding]:
    lacking = [split for split in ("train", "test") if not len(by_split.get(split, ()))]
    messages = {
        "train": "there are no training clouds; such a set can only be tested on",
        "test": "there are no test clouds; such a set can only be trained on",
    }
    return [_finding("note", 1, len(SPLITS), messages[split]) for split in lacking]


def _check_classes(by_split: Mapping[Split, np.ndarray], class_names: Sequence[str]) -> list[Finding]:
    """Classes by where they have clouds; nothing is said of a split that is empty as a whole."""
    present = {split: set(records["label"].tolist()) - {NO_LABEL} for split, records in by_split.items()}
    anywhere = set().union(*present.values())
    cases: list[tuple[Severity, set[int], str]] = [
        ("note", set(range(len(class_names))) - anywhere, "have no clouds at all")
    ]
    if present.get("train"):
        unseen = set().union(*(labels for split, labels in present.items() if split != "train"))
        cases.append(("warning", unseen - present["train"], "are tested or validated on but not in train"))
    if present.get("test"):
        cases.append(("note", present.get("train", set()) - present["test"], "are in train but never tested"))
    found = []
    for severity, labels, what in cases:
        if labels:
            names = [class_names[label] for label in sorted(labels)]
            ids = _ids_of(by_split, labels)
            message = f"{len(names)} of {len(class_names)} classes {what}: {_list(names)}"
            found.append(_finding(severity, len(names), len(class_names), message, ids))
    return found


def _ids_of(by_split: Mapping[Split, np.ndarray], labels: set[int]) -> list[int]:
    """Ids of clouds of these classes, in the order of the splits."""
    parts = [records["id"][np.isin(records["label"], list(labels))] for records in by_split.values()]
    ids: list[int] = np.concatenate(parts).tolist()
    return ids


def _list(names: Sequence[str]) -> str:
    more = len(names) - NUM_SAMPLE_IDS
    return ", ".join(names[:NUM_SAMPLE_IDS]) + (f" and {more} more" if more > 0 else "")


def _finding(severity: Severity, count: int, of: int, message: str, ids: Sequence[int] = ()) -> Finding:
    return Finding(
        check=CHECK, severity=severity, count=count, of=of, sample_ids=first_ids(ids), message=message
    )
