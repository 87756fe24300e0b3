"""What an analysis found, in sentences that its numbers alone decide."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from pointlab.report.layers import Layers
from pointlab.report.similarity import Similarity
from pointlab.report.wording import percent

MAX_NAMED = 3
"""Subjects that a sentence lists; of more it names the two ends."""


def findings(subjects: Sequence[Layers], similarity: Similarity) -> Iterator[str]:
    """What is to be said beside the headline: of normals, of drift, of what fine-tuning changed."""
    yield from _normals(subjects)
    yield from _drift(subjects)
    yield from _changes(subjects, similarity)


def headline(subjects: Sequence[Layers]) -> str:
    """Where accuracy peaks, and how gradients of early layers compare."""
    parts = [*_peaks(subjects), *_gradients(subjects)]
    return "; ".join(parts) + "." if parts else "Neither probes nor gradients were measured."


def _peaks(subjects: Sequence[Layers]) -> Iterator[str]:
    found = {one.subject: one.extreme("linear_accuracy", is_highest=True) for one in subjects}
    peaks = sorted(
        ((name, *peak) for name, peak in found.items() if peak is not None), key=lambda peak: -peak[2]
    )
    if not peaks:
        return
    named = peaks if len(peaks) <= MAX_NAMED else [peaks[0], peaks[-1]]
    places = [f"at {stage} in {name} ({percent(value)})" for name, stage, value in named]
    ends = "" if len(peaks) <= MAX_NAMED else ", to name the best and the worst"
    yield f"Linear accuracy peaks {_listed(places)}{ends}"


def _gradients(subjects: Sequence[Layers]) -> Iterator[str]:
    """How the gradients of first stages compare, or that of one with its own last.

    Only those of the first subject's network, through a head of the same kind, compare with it.
    """
    like = subjects[0]
    early = [
        (value, one)
        for one in subjects
        if (one.head, one.stages) == (like.head, like.stages) and (value := one.values("gradient_norm")[0])
    ]
    if len(early) > 1:
        (low, least), (high, most) = (end(early, key=lambda pair: pair[0]) for end in (min, max))
        yield (
            f"the first stage of {most.subject} has {_rounded(high / low)} times the gradient norm of that"
            f" of {least.subject}"
        )
    elif early:
        first, one = early[0]
        if (last := one.values("gradient_norm")[-1]) and len(one.rows) > 1:
            times = _rounded(first / last)
            yield f"in {one.subject}, {one.stages[0]} has {times} times the gradient norm of {one.stages[-1]}"


def _normals(subjects: Sequence[Layers]) -> Iterator[str]:
    found = [(one, best) for one in subjects if (best := one.extreme("normal_error", is_highest=False))]
    if found:
        one, (stage, angle) = min(found, key=lambda pair: pair[1][1])
        yield f"Normals are read best from {stage} of {one.subject}: {angle:.1f}° off (guessing: 57.3°)."


def _drift(subjects: Sequence[Layers]) -> Iterator[str]:
    for one in subjects:
        low, high = (one.extreme("drift", is_highest=is_highest) for is_highest in (False, True))
        if low is None or high is None:
            continue
        if high[1] == 0:
            yield f"{one.subject} has the weights that it started from."
        else:
            yield (
                f"Fine-tuning moved {high[0]} of {one.subject} most ({percent(high[1])} of its norm) and"
                f" {low[0]} least ({percent(low[1])})."
            )


def _changes(subjects: Sequence[Layers], similarity: Similarity) -> Iterator[str]:
    """For what was fine-tuned: which stage least resembles itself before."""
    for before, after in combinations(subjects, 2):
        if not after.has("drift") or before.has("drift") or before.stages != after.stages:
            continue
        values = [
            (value, stage)
            for stage, value in zip(before.stages, similarity.by_stage(before, after), strict=True)
            if value is not None
        ]
        if _are_one(before, after) and values:
            value, stage = min(values)
            yield (
                f"From {before.subject} to {after.subject}, {stage} changed most: its CKA with itself is"
                f" {value:.2f}."
            )


def _are_one(before: Layers, after: Layers) -> bool:
    """Whether the two are the start and the end of one transfer, which their names say."""
    return before.subject.removesuffix("-before") == after.subject.removesuffix("-after")


def _rounded(value: float) -> str:
    """To three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
