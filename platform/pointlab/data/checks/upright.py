"""Axis convention: whether the clouds stand, or lie because the source's up axis was mistaken.

Seen along each of the six directions, a cloud of a known class is more or less as upright objects of that
class are. One cloud says little; a set says it plainly: over ModelNet10 the true direction is ahead by 3.5
nats a cloud, over one-sided scans still by 1.4.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.checks.class_names import plain_name
from pointlab.data.checks.directions import turn_over
from pointlab.data.checks.findings import Finding, first_ids
from pointlab.data.checks.upright_figures import UPRIGHT

CHECK = "up axis"
DIRECTIONS = ("+x", "+y", "+z", "-x", "-y", "-z")
DECLARED = DIRECTIONS.index("+y")
MIN_CLOUDS = 20
"""Fewer clouds of known classes leave it to chance."""
MARGIN = 1.0
"""Nats a cloud, mean over the classes, by which another direction must be ahead: any true one is, by more."""
UNDECIDED = 0.3
"""Nats a cloud within which no direction counts as better than another."""
MAX_SQUARE = 9.0
"""Squared deviation beyond which a figure is no stranger: one odd figure must not decide."""
REMEDY = {
    "+z": "the source looks z-up: set source.up_axis to z",
    "-z": "the source looks y-up and is turned as if it were z-up: set source.up_axis to y",
    "-y": "the source looks upside down: turn its clouds over before preparing it",
}
"""Direction that looks up as read -> what to do; (x, y, z) -> (x, z, -y) takes +y to -z."""


def check_up_axis(records: np.ndarray, class_names: Sequence[str]) -> list[Finding]:
    """Nothing where the clouds stand along +y; otherwise what they look like, or that it cannot be told."""
    plain = {label: plain_name(name) for label, name in enumerate(class_names)}
    known = {label: name for label, name in plain.items() if name in UPRIGHT}
    chosen = records[np.isin(records["label"], list(known))]
    if len(chosen) < MIN_CLOUDS:
        return [_not_checked(records, len(chosen))]
    scores = np.concatenate(
        [_scores(chosen[chosen["label"] == label], name) for label, name in known.items()]
    )
    ids = np.concatenate([chosen[chosen["label"] == label]["id"] for label in known])
    labels = np.sort(chosen["label"], kind="stable")
    return _judge(scores, ids, labels)


def _not_checked(records: np.ndarray, num_known: int) -> Finding:
    return Finding(
        check=CHECK,
        severity="note",
        count=0,
        of=len(records),
        message=f"not checked: {num_known} clouds are of classes whose upright shape is known, and at least"
        f" {MIN_CLOUDS} are needed; look at some clouds to see that +y is up",
    )


def _scores(records: np.ndarray, name: str) -> Float64[np.ndarray, "clouds 6"]:
    """Log-likelihood of each cloud of one class along the `DIRECTIONS`, up to a constant."""
    means, spreads = np.array(UPRIGHT[name])
    figures = records["axes"].astype(np.float64)
    deviations = (np.concatenate([figures, turn_over(figures)], axis=1) - means) / spreads
    result: np.ndarray = -np.minimum(deviations**2, MAX_SQUARE).sum(2) / 2
    return result


def _judge(
    scores: Float64[np.ndarray, "clouds 6"],
    ids: Int64[np.ndarray, " clouds"],
    labels: np.ndarray,
) -> list[Finding]:
    """The finding for clouds sorted by label, if any: classes count alike, as sets are often unbalanced."""
    by_class = np.stack([scores[labels == label].mean(0) for label in np.unique(labels)])
    means = by_class.mean(0)
    best = int(means.argmax())
    lead = means[best] - means[DECLARED]
    num_classes = int((by_class[:, best] > by_class[:, DECLARED]).sum())
    if best != DECLARED and lead >= MARGIN and 2 * num_classes > len(by_class):
        lying = ids[scores[:, best] > scores[:, DECLARED]]
        reason = (
            f"{DIRECTIONS[best]} looks up in {num_classes} of {len(by_class)} known classes, ahead of +y by"
            f" {lead:.1f} nats a cloud"
        )
        return [_lying(DIRECTIONS[best], lying, len(ids), reason)]
    others = np.delete(means, DECLARED)
    if means[DECLARED] - others.max() >= UNDECIDED:
        return []
    return [
        Finding(
            check=CHECK,
            severity="note",
            count=len(ids),
            of=len(ids),
            message="no consistent up direction: +y is not clearly better than the others for known classes;"
            " fine for clouds turned at random, otherwise look at some of them",
        )
    ]


def _lying(direction: str, ids: np.ndarray, num_known: int, reason: str) -> Finding:
    remedy = REMEDY.get(
        direction, f"turn the clouds so that their {direction} becomes +y before preparing them"
    )
    return Finding(
        check=CHECK,
        severity="warning",
        count=len(ids),
        of=num_known,
        sample_ids=first_ids(np.sort(ids).tolist()),
        message=f"{reason}; expected +y; {remedy}",
    )
