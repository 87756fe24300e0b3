"""Starts that are transfers of other starts: the chain that a backbone has come along.

It lets one study ask the same of a backbone before a fine-tuning and after it, as the robustness proxies of
"Robust Fine-tuning for Pre-trained 3D Point Cloud Models" (Zhang et al., 2024) do.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pointlab.experiment.transfer import TransferExperiment

OF = "of"
"""The key by which a start of a study is a transfer of another one."""
Starts = Mapping[str, Mapping[str, Any] | None]


def transfers_before(experiment: TransferExperiment) -> Iterator[TransferExperiment]:
    """The transfers that it starts from, the nearest first."""
    while isinstance(experiment.pretrained, TransferExperiment):
        experiment = experiment.pretrained
        yield experiment


def chain_of(start: str, starts: Starts) -> Iterator[str]:
    """The start, what it is a transfer of, and so on to a pretraining or to random weights.

    Raises ValueError where a link is no start, or where the chain comes back to one that it has been to.
    """
    been: list[str] = []
    while True:
        been.append(start)
        yield start
        of = (starts[start] or {}).get(OF)
        if of is None:
            return
        if of not in starts:
            raise ValueError(f"starts.{start}.of is {of!r}, but starts has only {', '.join(starts)}")
        if of in been:
            told = " of ".join([*been, of])
            raise ValueError(f"starts go in a circle, {told}: expected a pretraining or null at the end")
        start = of


def require_chains(starts: Starts) -> None:
    """ValueError where the chain of some start has no end."""
    for start in starts:
        list(chain_of(start, starts))
