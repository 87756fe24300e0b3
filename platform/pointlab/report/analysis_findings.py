"""What an analysis found, in sentences that its numbers alone decide."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from pointlab.report.layers import Layers, Shown, read_layers, read_shown
from pointlab.report.results import wilson_interval
from pointlab.report.similarity import Similarity
from pointlab.report.wording import GAP, percent
from pointlab.storage import Record

MAX_NAMED = 3
"""Subjects that a sentence lists; of more it names the two ends."""


def findings(subjects: Sequence[Layers], similarity: Similarity) -> Iterator[str]:
    """What is to be said beside the headline: of normals, of drift, of what fine-tuning changed."""
    yield from _normals(subjects)
    yield from _drift(subjects)
    yield from _changes(subjects, similarity)


def headline(record: Record) -> str:
    """How high accuracy gets and where, and how gradients of early layers compare."""
    subjects = read_layers(record)
    parts = [*_peaks(subjects, read_shown(record)), *_gradients(subjects)]
    return "; ".join(parts) + "." if parts else "Neither probes nor gradients were measured."


def _peaks(subjects: Sequence[Layers], shown: Shown | None) -> Iterator[str]:
    """The best linear accuracy of each subject, how sure it is, and the stages that reach it."""
    found = [(value, one) for one in subjects if (value := _best(one)) is not None]
    peaks = sorted(found, key=lambda peak: -peak[0])
    if not peaks:
        return
    named = peaks if len(peaks) <= MAX_NAMED else [peaks[0], peaks[-1]]
    ends = "" if len(peaks) <= MAX_NAMED else ", to name the best and the worst"
    yield f"Linear accuracy reaches {_listed([_peak(value, one, shown) for value, one in named])}{ends}"


def _best(one: Layers) -> float | None:
    peak = one.extreme("linear_accuracy", is_highest=True)
    return None if peak is None else peak[1]


def _peak(value: float, one: Layers, shown: Shown | None) -> str:
    """The value in words, and its stage where that stands out: those within the interval are its equals."""
    low, high = (value, value) if shown is None else wilson_interval(value, shown.num_clouds)
    within = [
        stage
        for stage, accuracy in zip(one.stages, one.values("linear_accuracy"), strict=True)
        if accuracy is not None and accuracy >= low
    ]
    sure = "" if shown is None else f" (95{GAP}%: {100 * low:.0f} to {100 * high:.0f})"
    at = f"at {within[0]}" if len(within) == 1 else f"at {within[0]} and no lower at {_listed(within[1:])}"
    place = at if len(within) <= MAX_NAMED else "where no stage stands out"
    return f"{percent(value)}{sure} in {one.subject}, {place}"


def _gradients(subjects: Sequence[Layers]) -> Iterator[str]:
    """How the gradients of first stages compare, or that of one with its own last.

    Only those of one network, through fresh heads, compare between subjects. Of equal ones nothing is said.
    """
    fresh = [one for one in subjects if one.has_fresh_head]
    early = [
        (value, one)
        for one in fresh
        if one.network == fresh[0].network and (value := one.values("gradient_norm")[0])
    ]
    if len(early) > 1:
        (low, least), (high, most) = (end(early, key=lambda pair: pair[0]) for end in (min, max))
        if (times := _times(high, low)) is not None:
            yield (
                f"the first stage of {most.subject} has {times} times the gradient norm of that of"
                f" {least.subject}"
            )
        return
    one = early[0][1] if early else subjects[0]
    first, last = (one.values("gradient_norm")[at] for at in (0, -1))
    if first and last and (times := _times(first, last)) is not None:
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
        if after.started_as != before.subject:
            continue
        values = [
            (value, stage)
            for stage, value in zip(before.stages, similarity.by_stage(before, after), strict=True)
            if value is not None
        ]
        if values:
            value, stage = min(values)
            yield (
                f"From {before.subject} to {after.subject}, {stage} changed most: its CKA with itself is"
                f" {value:.2f}."
            )


def _times(value: float, other: float) -> str | None:
    """Their ratio to three digits, without an exponent; None where it rounds to one."""
    rounded = float(f"{value / other:.3g}")
    return None if rounded == 1 else f"{rounded:,.10g}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
