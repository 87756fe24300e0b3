"""L-BFGS for many smooth convex problems at once, each with its own line search.

Nocedal and Wright, "Numerical Optimization" (2nd edition, 2006), algorithms 7.4 and 7.5. The first guess of
the inverse Hessian is diagonal, and the objective renews it at every point: with a good one few steps are
needed. A step is halved or interpolated until the value falls enough (Armijo), and teaches curvature where
there is some. A problem that has converged, or that rounding lets no further, drops out of the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

NUM_PAIRS = 10
"""Steps remembered: five are a fifth faster where a probe is easy, and take a fifth more evaluations where it
is hard; twenty save few, and cost memory."""
ENOUGH = 1e-4
"""Share of the decrease that the slope promises which a step must bring (Nocedal and Wright, section 3.1)."""
NUM_TRIALS = 20
"""Trials of one step: after these it is shorter than a millionth, which only rounding makes necessary."""

Points = Float[Tensor, "problems rows columns"]


@dataclass(frozen=True)
class Evaluated:
    """Objectives of some problems at one point each."""

    values: Float[Tensor, " problems"]
    gradients: Points
    metric: Float[Tensor, "problems #rows columns"]
    """An approximation of the inverse of the Hessian's diagonal."""

    def at(self, rows: Tensor) -> "Evaluated":
        """Those of these problems."""
        return Evaluated(self.values[rows], self.gradients[rows], self.metric[rows])

    @classmethod
    def joined(cls, parts: "Sequence[Evaluated]") -> "Evaluated":
        """All parts as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(torch.cat(same) for same in zip(*(vars(part).values() for part in parts), strict=True)))

    def replace(self, rows: Tensor, others: "Evaluated") -> None:
        """From now on `others` are at `rows`."""
        for mine, theirs in zip(vars(self).values(), vars(others).values(), strict=True):
            mine.index_copy_(0, rows, theirs)


Objective = Callable[[Points, Int64[Tensor, " problems"]], Evaluated]
"""From points, and the numbers of the problems that they belong to."""


@dataclass
class History:
    """The last steps of every problem, with the changes of the gradient along them."""

    pairs: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    """Step, change of the gradient, and one over their product; 0 where it taught nothing."""

    def add(self, steps: Points, changes: Points) -> None:
        """Remember a step of every problem, where it met positive curvature, and forget the oldest."""
        products, noise = _dot(steps, changes), torch.finfo(steps.dtype).eps
        has_taught = products > noise * (_dot(steps, steps) * _dot(changes, changes)).sqrt()
        inverse = torch.where(has_taught, 1 / products, 0)
        self.pairs = [*self.pairs, (steps, changes, inverse)][-NUM_PAIRS:]

    def direction(self, at: Evaluated) -> Points:
        """Minus the approximate inverse Hessian times the gradient: the two loops of algorithm 7.4."""
        found, shares = at.gradients.clone(), []
        for step, change, inverse in reversed(self.pairs):
            shares.append(inverse * _dot(step, found))
            found.addcmul_(_column(shares[-1]), change, value=-1)
        found *= at.metric * _column(self._scale(at))
        for (step, change, inverse), share in zip(self.pairs, reversed(shares), strict=True):
            found.addcmul_(_column(share - inverse * _dot(change, found)), step)
        return found.neg_()

    def keep(self, rows: Tensor) -> None:
        """Forget all problems but these."""
        self.pairs = [(step[rows], change[rows], inverse[rows]) for step, change, inverse in self.pairs]

    def _scale(self, at: Evaluated) -> Tensor:
        """What the metric is to be multiplied with to fit the curvature of the last step (equation 7.20)."""
        if not self.pairs:
            return torch.ones_like(at.values)
        _, change, inverse = self.pairs[-1]
        return torch.where(inverse > 0, 1 / (inverse * _dot(change, change * at.metric)), 1)


def minimise(
    objective: Objective, start: Points, tolerance: float, max_steps: int
) -> tuple[Points, Bool[Tensor, " problems"]]:
    """A point for each problem, and whether the norm of its gradient there is at most `tolerance`: so many
    steps, or the precision of `start`, may not lead to such a one."""
    has_converged = torch.zeros(len(start), dtype=torch.bool)
    found, numbers, points = start.clone(), torch.arange(len(start)), start
    at, history = objective(points, numbers), History()
    is_stuck = torch.zeros(len(start), dtype=torch.bool)
    for step in range(max_steps + 1):
        found[numbers] = points
        has_converged[numbers] = at.gradients.flatten(1).norm(dim=1) <= tolerance
        rows = (~has_converged[numbers] & ~is_stuck).nonzero().squeeze(1)
        if len(rows) < len(numbers):
            numbers, points, at = numbers[rows], points[rows], at.at(rows)
            history.keep(rows)
        if len(numbers) == 0 or step == max_steps:
            break
        directions = history.direction(at)
        steps, reached, is_stuck = _search(objective, points, directions, at, numbers)
        history.add(steps, reached.gradients - at.gradients)
        points, at = points + steps, reached
    return found, has_converged


def _search(
    objective: Objective, points: Points, directions: Points, at: Evaluated, numbers: Tensor
) -> tuple[Points, Evaluated, Tensor]:
    """A step of each problem that lowers its value enough, what is there, and which problems found none."""
    slopes, lengths = _dot(at.gradients, directions), torch.ones_like(at.values)
    noise = 4 * torch.finfo(at.values.dtype).eps * (1 + at.values.abs())
    reached = objective(points + directions, numbers)
    for _ in range(NUM_TRIALS):
        excess = reached.values - at.values
        is_too_far = ~(excess <= ENOUGH * lengths * slopes + noise)
        rows = is_too_far.nonzero().squeeze(1)
        if len(rows) == 0:
            break
        # the lowest point of the parabola through the value and slope here, and the value there
        lowest = -slopes * lengths.square() / (2 * (excess - slopes * lengths))
        safe = torch.where(lowest.isfinite(), lowest, 0).clamp(0.1 * lengths, 0.5 * lengths)
        lengths = torch.where(is_too_far, safe, lengths)
        trial = points[rows] + _column(lengths[rows]) * directions[rows]
        reached.replace(rows, objective(trial, numbers[rows]))
    is_stuck = ~(reached.values - at.values <= ENOUGH * lengths * slopes + noise)
    lengths = torch.where(is_stuck, 0, lengths)
    stuck = is_stuck.nonzero().squeeze(1)
    reached.replace(stuck, at.at(stuck))
    return _column(lengths) * directions, reached, is_stuck


def _dot(one: Points, other: Points) -> Float[Tensor, " problems"]:
    product: Tensor = torch.linalg.vecdot(one.flatten(1), other.flatten(1))
    return product


def _column(numbers: Float[Tensor, " problems"]) -> Float[Tensor, "problems 1 1"]:
    return numbers[:, None, None]
