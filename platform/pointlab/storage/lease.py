"""Leases: of all processes that would write a run, one may.

A lease is a folder of generations, `00000001.json` and so on. Each is made with `Storage.create`, which only
one of several contenders can do, and names its holder; the newest one counts. The holder shows that it lives
by rewriting its own file, which nobody else writes, with a growing `beat`. A contender takes the next
generation when the newest is released, when its holder is a process of this machine that has ended, or when
it has watched the file by its own clock and seen no beat for long: clocks of two machines are never compared.

A holder that was silent for too long (a sleeping machine, a broken network) and comes back has been replaced
and must not write on. It carries its generation as a `Fence`, and `require` refuses it where there is a newer
one. Between that question and the write that follows some time passes: a fence makes the window small, which
a store without transactions can't close, so what is written under it must stay readable either way.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from pointlab.errors import LeaseError, StorageError
from pointlab.storage.address import Storage
from pointlab.storage.files import AbsentError
from pointlab.storage.holder import Holder, this_process

logger = logging.getLogger(__name__)
_UNREADABLE = Holder(host="an unknown machine", pid=1, since="an unknown time", description="damaged lease")


@dataclass(frozen=True)
class Timing:
    """Seconds from beat to beat, and of silence after which a holder counts as gone.

    Six beats may be missed: a store that answers slowly costs two or three.
    """

    refresh: float = 5.0
    expiry: float = 30.0

    @property
    def poll(self) -> float:
        """Seconds between two looks at a holder that is watched."""
        return self.refresh / 5


class Claim(BaseModel):
    """What a generation's file says. The token makes it unlike any other claim, also of the same process."""

    model_config = ConfigDict(frozen=True)
    token: str
    holder: Holder
    beat: int = 0
    released: bool = False


@dataclass(frozen=True)
class Fence:
    """Proof of a lease that travels to whoever writes in its holder's name."""

    path: str
    generation: int

    @property
    def file(self) -> str:
        """Where the generation's claim is kept."""
        return f"{self.path}/{self.generation:08d}.json"

    @property
    def following(self) -> "Fence":
        """The fence of whoever takes the lease next."""
        return Fence(self.path, self.generation + 1)

    @property
    def subject(self) -> str:
        """What is leased: the folder that the lease lies in."""
        return self.path.rpartition("/")[0] or self.path


def require(storage: Storage, fence: Fence) -> None:
    """Return if nobody has taken over since; LeaseError if there is a newer generation."""
    newest = _newest(storage, fence.path)
    if newest.generation > fence.generation:
        claim = _read(storage, newest)
        raise LeaseError(
            f"{fence.subject} was taken over by {claim.holder if claim else 'another process'}, because this"
            " one had not shown for a while that it was at work.",
            expected="one writer per run",
            remedy="let that process go on, or stop it and run the same command again",
        )


class Lease:
    """A generation held by this process, whose thread keeps it alive until it is released or lost."""

    def __init__(self, storage: Storage, fence: Fence, claim: Claim, timing: Timing) -> None:
        """Take care of a claim that has just been made; `hold` makes one."""
        self.storage, self.fence, self.timing = storage, fence, timing
        self.is_lost = self._is_away = False
        self._claim, self._released = claim, threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {fence.subject}", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Return while this process holds the lease; LeaseError when another has taken it over."""
        require(self.storage, self.fence)

    def release(self) -> None:
        """Free the lease for the next at once; a store that is away is left to find out by itself."""
        self._released.set()
        self._thread.join()
        if self.is_lost or self._is_away:  # asked again, it would be waited for once more
            return
        try:
            self._write(self._claim.model_copy(update={"released": True}))
        except StorageError as error:
            logger.warning("%s: the lease could not be released: %s", self.fence.subject, error)

    def _keep(self) -> None:
        """Beat until released or replaced; a store that is away is waited for."""
        while not self.is_lost and not self._released.wait(self.timing.refresh):
            try:
                self._beat()
                self._is_away = False
            except StorageError as error:
                if not self._is_away:
                    logger.warning("%s: the lease cannot be refreshed: %s", self.fence.subject, error)
                self._is_away = True

    def _beat(self) -> None:
        if _newest(self.storage, self.fence.path).generation > self.fence.generation:
            self.is_lost = True
            logger.error("%s was taken over by another process", self.fence.subject)
        else:
            self._write(self._claim.model_copy(update={"beat": self._claim.beat + 1}))

    def _write(self, claim: Claim) -> None:
        self.storage.write(self.fence.file, claim.model_dump_json(indent=1).encode())
        self._claim = claim


@contextlib.contextmanager
def hold(
    storage: Storage, path: str, description: str = "", *, wait: bool = False, timing: Timing | None = None
) -> Iterator[Lease]:
    """The lease at `path` while the block runs; whoever else wants it is told `description`.

    A live holder is a LeaseError, or is waited for with `wait`, however long. It may take `timing.expiry`
    seconds to know that a holder is not alive.
    """
    timing = timing or Timing()
    claim = Claim(token=uuid.uuid4().hex, holder=this_process(description))
    lease = Lease(storage, _acquire(storage, path, claim, timing, wait), claim, timing)
    try:
        yield lease
    finally:
        lease.release()


def _acquire(storage: Storage, path: str, claim: Claim, timing: Timing, wait: bool) -> Fence:
    """A generation of one's own; LeaseError where another process is alive and not to be waited for."""
    while True:
        newest = _newest(storage, path)
        if newest.generation > 0:
            _watch(storage, newest, timing, wait)
        if _take(storage, newest.following, claim):
            return newest.following


def _watch(storage: Storage, newest: Fence, timing: Timing, wait: bool) -> None:
    """Return once `newest` can be followed or is no longer the newest; LeaseError if its holder is alive."""
    seen, silence, looked = None, 0.0, time.monotonic()
    while (claim := _read(storage, newest)) is not None:
        if claim.released or claim.holder.is_gone():
            return
        if seen is None:
            how_long = "until it ends" if wait else f"for up to {timing.expiry:g} s"
            logger.info("%s is held by %s; watching it %s", newest.subject, claim.holder, how_long)
        elif claim != seen and not wait:
            raise _held(newest, claim.holder)
        silence = silence if claim == seen else 0.0
        if silence >= timing.expiry:
            logger.warning(
                "%s: %s has been silent for %g s and is replaced", newest.subject, claim.holder, silence
            )
            return
        time.sleep(timing.poll)
        if _newest(storage, newest.path) != newest:
            return
        # a store that was away for long kept the holder from beating too: one look counts for little
        now = time.monotonic()
        seen, silence, looked = claim, silence + min(now - looked, 2 * timing.poll), now


def _take(storage: Storage, fence: Fence, claim: Claim) -> bool:
    """Whether the generation could be made by this claim, and is the newest."""
    if not storage.create(fence.file, claim.model_dump_json(indent=1).encode()):
        return False
    is_newest = _newest(storage, fence.path) == fence
    # not the newest: its number had been used and cleared away since the contender looked
    old = [n for n in _generations(storage, fence.path) if n < fence.generation - 1]
    for generation in old if is_newest else [fence.generation]:
        with contextlib.suppress(StorageError):
            storage.delete_file(Fence(fence.path, generation).file)
    return is_newest


def _held(fence: Fence, holder: Holder) -> LeaseError:
    return LeaseError(
        f"{fence.subject} is being written by {holder}.",
        expected="one writer per run",
        remedy="wait for it to end, stop it, or choose another name",
    )


def _newest(storage: Storage, path: str) -> Fence:
    """The newest generation; number 0 if there has been none."""
    newest = Fence(path, max(_generations(storage, path), default=0))
    while storage.exists(newest.following.file):  # listings of some stores lag behind their files
        newest = newest.following
    return newest


def _generations(storage: Storage, path: str) -> list[int]:
    stems = [name.removesuffix(".json") for name in storage.files(path)]
    return [int(stem) for stem in stems if stem.isdecimal()]


def _read(storage: Storage, fence: Fence) -> Claim | None:
    """The claim of a generation; None if there is none (any more)."""
    try:
        content = storage.read(fence.file)
    except AbsentError:
        return None
    try:
        return Claim.model_validate_json(content)
    except ValidationError:
        return Claim(token=content.decode(errors="replace"), holder=_UNREADABLE)
