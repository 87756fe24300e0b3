"""Leakage: clouds of a later split that can hardly be told from one of an earlier split, however turned.

The same CAD model in train and test, sampled twice, shares no point, so content digests do not see it.
Candidates by fingerprint are verified by aligning their stored points. What is found are copies, and
look-alikes that a network sees as copies; sparse and one-sided clouds hide their twins well.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pointlab.data.checks.alignment import Shape, distance, make_shape
from pointlab.data.checks.candidates import find_candidates, noise_weights
from pointlab.data.checks.findings import Finding, Severity
from pointlab.data.source import Split

CHECK = "near duplicates"
ReadPoints = Callable[[Sequence[int]], Mapping[int, np.ndarray]]
MAX_VERIFIED: dict[tuple[Split, Split], int] = {
    ("train", "test"): 2500,
    ("validation", "test"): 1000,
    ("train", "validation"): 1000,
}
"""Candidates that are verified, the most alike first: 3 to 4 ms each, so about 15 s in all at most."""
MAX_DISTANCE = 0.17
"""Spacings between aligned surfaces, sampling apart. Most pairs of samplings of one mesh stay below, and so
do 34 of the 35 shapes of ModelNet10's test split that are known to have a twin in train. What is found may be
a look-alike, such as a box of nearly the same sides: to a network of 1024 points, that is the same."""
MIN_POINTS = 512
"""Points below which a spacing is so wide that most shapes of a class would be twins."""
SHAPES_KEPT = 256
"""Shapes kept ready at once, of about 100 KB each: bounds memory."""


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be twins, as (id, label) of the earlier and the later cloud; how many more there are."""

    pairs: list[tuple[tuple[int, int], tuple[int, int]]]
    num_left: int

    def without(self, ids: Collection[int]) -> "Candidates":
        """The pairs in which none of these clouds is."""
        pairs = [pair for pair in self.pairs if not any(identity in ids for identity, _ in pair)]
        return Candidates(pairs, self.num_left)


@dataclass(frozen=True)
class Twins:
    """Twins between two splits: id of the later cloud -> id of an earlier one, by whether labels agree."""

    alike: dict[int, int]
    unlike: dict[int, int]


def check_leakage(
    by_split: Mapping[Split, np.ndarray], read_points: ReadPoints, *, is_carved: bool, is_generated: bool
) -> list[Finding]:
    """What each pair of splits shares; a note where it is known to be harmless, else a warning.

    `is_carved` says that validation was taken from train by pointlab, `is_generated` that all clouds are
    instances drawn independently: what is alike then is so by chance.

    Exact copies are left to `repetition`. `read_points` is called once at most, for at most twice as many
    clouds as `MAX_VERIFIED` in all, of which the first `alignment.MAX_POINTS` points are used.
    """
    weights = noise_weights(np.concatenate([*by_split.values()]))
    dense = {split: records[records["num_points"] >= MIN_POINTS] for split, records in by_split.items()}
    candidates = {
        (earlier, later): _candidates(dense[earlier], dense[later], weights, most)
        for (earlier, later), most in MAX_VERIFIED.items()
        if len(dense.get(earlier, ())) and len(dense.get(later, ()))
    }
    ids = {identity for found in candidates.values() for pair in found.pairs for identity, _ in pair}
    points = read_points(sorted(ids)) if ids else {}
    short = {identity for identity, cloud in points.items() if len(cloud) < MIN_POINTS}
    candidates = {splits: found.without(short) for splits, found in candidates.items()}

    @lru_cache(maxsize=SHAPES_KEPT)
    def shape_of(identity: int) -> Shape:
        return make_shape(points[identity])

    num_clouds = sum(len(records) for records in by_split.values())
    num_sparse = num_clouds - sum(len(records) for records in dense.values()) + len(short)
    findings = [_too_sparse(num_sparse, num_clouds)] if num_sparse and len(by_split) > 1 else []
    for splits, found in candidates.items():
        is_harmless = is_generated or (is_carved and splits == ("train", "validation"))
        severity: Severity = "note" if is_harmless else "warning"
        twins = _verify(found, shape_of)
        findings += _report(splits, twins, found, len(by_split[splits[1]]), severity)
    return findings


def _candidates(earlier: np.ndarray, later: np.ndarray, weights: np.ndarray, most: int) -> Candidates:
    """The `most` candidates of two splits that are most alike."""
    one, other = find_candidates(earlier, later, weights)
    is_new = earlier["digest"][one] != later["digest"][other]
    one, other = one[is_new], other[is_new]
    rows = [records[["id", "label"]][places[:most]] for records, places in ((earlier, one), (later, other))]
    pairs = list(zip(rows[0].tolist(), rows[1].tolist(), strict=True))
    return Candidates(pairs, len(one) - len(pairs))


def _too_sparse(count: int, total: int) -> Finding:
    """A note of the clouds that were not compared, having too few points in the source or once prepared."""
    return Finding(
        check=CHECK,
        severity="note",
        count=count,
        of=total,
        message=f"not checked: {count} of {total} clouds have fewer than {MIN_POINTS} points, too few to tell"
        " shapes of a class apart",
    )


def _verify(candidates: Candidates, shape_of: Callable[[int], Shape]) -> Twins:
    """The twins among the candidates; a cloud that has a twin of its own label needs no second one."""
    twins = Twins({}, {})
    for (one, one_label), (other, other_label) in candidates.pairs:
        kind = twins.alike if one_label == other_label else twins.unlike
        is_known = other in twins.alike or other in kind
        if not is_known and distance(shape_of(one), shape_of(other)) < MAX_DISTANCE:
            kind[other] = one
    return twins


def _report(
    splits: tuple[Split, Split], twins: Twins, candidates: Candidates, num_later: int, severity: Severity
) -> list[Finding]:
    earlier, later = splits
    unlike = {other: one for other, one in twins.unlike.items() if other not in twins.alike}
    cases: list[tuple[Severity, dict[int, int], str]] = [
        (severity, twins.alike, "of its class; expected none; report scores with and without them"),
        ("note", unlike, "of another class: the label of one may be wrong, or the shape is too plain"),
    ]
    if candidates.num_left:
        cases = [case for case in cases if case[1]] or [("note", {}, "among the likeliest pairs")]
    limit = f" ({candidates.num_left} less likely pairs were not compared)" if candidates.num_left else ""
    return [
        Finding(
            check=CHECK,
            severity=level,
            count=len(found),
            of=num_later,
            sample_ids=tuple(sorted(found)),
            twins=tuple(found[identity] for identity in sorted(found)),
            message=f"{len(found)} of {num_later} clouds of {later} are copies, perhaps turned or sampled"
            f" anew, or close look-alikes of a cloud of {earlier} {what}{limit}",
        )
        for level, found, what in cases
        if found or candidates.num_left
    ]
