"""The release: whether source files are those that were published, and as many clouds as were.

Public code knows the MD5 of some released files. An MD5 does not resist an attack, and need not: it tells a
damaged or a different file from the right one.
"""

import hashlib
from collections import Counter
from pathlib import Path, PurePosixPath

from pointlab.data.checks.findings import Finding, Severity
from pointlab.data.source import SourceIndex


def check_release(index: SourceIndex, root: Path | None) -> list[Finding]:
    """What differs from the release that the set's card describes."""
    return [*_check_files(index, root), *_check_rows(index)]


def _check_files(index: SourceIndex, root: Path | None) -> list[Finding]:
    published = index.card.files
    named = [name for name in index.files if PurePosixPath(name).name in published]
    if root is None or not named:
        return []
    wrong = [name for name in named if _md5(root / name) != published[PurePosixPath(name).name]]
    severity: Severity = "warning" if 0 < len(wrong) < len(named) else "note"
    said = {
        0: f"all {len(named)} files that the release has checksums of are those of the release",
        len(named): f"none of {len(named)} files that bear the names of released ones are those: this is"
        " another set in the same layout",
    }
    mixed = (
        f"{len(wrong)} of {len(named)} files are not those of the release, such as {', '.join(wrong[:1])};"
        " expected all or none; download them again"
    )
    message = said.get(len(wrong), mixed)
    return [
        Finding(check="released files", severity=severity, count=len(wrong), of=len(named), message=message)
    ]


def _check_rows(index: SourceIndex) -> list[Finding]:
    official = dict(index.card.rows)
    found = Counter(str(row.split) for row in index.rows)
    if not official or official == dict(found):
        return []
    differing = [split for split in official | found if official.get(split, 0) != found.get(split, 0)]
    listed = ", ".join(f"{split} {found.get(split, 0)} of {official.get(split, 0)}" for split in differing)
    return [
        Finding(
            check="released rows",
            severity="note",
            count=len(differing),
            of=len(official | found),
            message=f"the numbers of clouds are not those of the release ({listed}): figures on this set do"
            " not compare with published ones",
        )
    ]


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
