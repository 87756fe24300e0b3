"""Checks are carried out side by side, each with a limit of time: what hangs holds up nothing else."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pointlab.doctor.finding import Finding, failed, of_error, unseen
from pointlab.errors import PointlabError

logger = logging.getLogger(__name__)


@runtime_checkable
class Check(Protocol):
    """Something to look at. It changes nothing that lasts."""

    @property
    def name(self) -> str:
        """What is looked at, in a word or two."""

    @property
    def seconds(self) -> float:
        """After how long it counts as hung."""

    def run(self) -> Iterable[Finding]:
        """What is found. A PointlabError that it raises counts as a failure."""


@runtime_checkable
class Gate(Check, Protocol):
    """A check that carries out others, once what they need is there."""

    @property
    def leads_to(self) -> tuple[str, ...]:
        """Their names: where it fails before them, they are told as skipped."""


@dataclass(frozen=True)
class OfExperiment:
    """What a check knows that looks at an experiment (None: any) and at the address of its store."""

    experiment: Any
    address: str


def longest(checks: Iterable[Check]) -> float:
    """Seconds after which all of these have ended, which whoever waits for them must allow."""
    return max(check.seconds for check in checks)


def names_of(checks: Iterable[Check]) -> list[str]:
    """What these look at, themselves and through others."""
    return [name for check in checks for name in (check.name, *_behind(check))]


def examine(checks: Sequence[Check]) -> list[Finding]:
    """The findings of all checks, in their order; a check that hangs is left behind, and named."""
    at_work = [_AtWork(check) for check in checks]
    return [finding for each in at_work for finding in each.findings()]


class _AtWork:
    """A check in a thread of its own, which does not keep the process from ending."""

    def __init__(self, check: Check) -> None:
        self._check, self._deadline = check, time.monotonic() + check.seconds
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._carry_out, name=check.name, daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            late = f"It did not end within {self._check.seconds:g} s."
            found.append(failed(late, "look at what the findings beside it name, then try again"))
            found += self._unseen()
        return [each if each.check else each.model_copy(update={"check": self._check.name}) for each in found]

    def _carry_out(self) -> None:
        try:
            for finding in self._check.run():
                self._found.append(finding)
        except PointlabError as error:
            self._found += [of_error(error), *self._unseen()]
        except Exception as error:
            logger.exception("The check %s broke", self._check.name)
            what = f"The check itself broke: {type(error).__name__}: {str(error).rstrip('.')}."
            self._found += [failed(what, "report it with the lines of the log above"), *self._unseen()]

    def _unseen(self) -> list[Finding]:
        return unseen(_behind(self._check), self._check.name)


def _behind(check: Check) -> tuple[str, ...]:
    return check.leads_to if isinstance(check, Gate) else ()
