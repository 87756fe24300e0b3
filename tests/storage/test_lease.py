"""Leases: one writer per run, whoever dies, sleeps or loses the store."""

import contextlib
import json
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pointlab.errors import LeaseError, StorageError
from pointlab.storage import Storage
from pointlab.storage.holder import Holder, this_process
from pointlab.storage.lease import Fence, Timing, hold, require
from s3_server import S3Server

PATH = "runs/r/lease"
PATIENT = Timing(refresh=0.02, expiry=600)
"""Beats fast; a contender that had to wait for silence would never end."""
HASTY = Timing(refresh=0.02, expiry=0.2)
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process is going to do."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def claim(store: Storage, generation: int) -> dict[str, Any]:
    """What is written about a generation."""
    content: dict[str, Any] = json.loads(store.read(Fence(PATH, generation).file))
    return content


def write_claim(store: Storage, generation: int, **changes: Any) -> None:
    """The claim of a process on another machine, written by hand."""
    holder = this_process().model_copy(update={"host": "elsewhere", **changes.pop("holder", {})})
    content = {"token": "theirs", "holder": holder.model_dump(), "beat": 0, "released": False, **changes}
    store.write(Fence(PATH, generation).file, json.dumps(content).encode())


@contextlib.contextmanager
def beating(store: Storage, generation: int) -> Iterator[None]:
    """A holder on another machine that shows it lives."""
    ended = threading.Event()

    def beat() -> None:
        for number in range(1_000_000):
            write_claim(store, generation, beat=number)
            if ended.wait(0.02):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    until(lambda: store.exists(Fence(PATH, generation).file))
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _take_turns(store: Storage, number: int, num_turns: int) -> None:
    for turn in range(num_turns):
        with hold(store, PATH, wait=True, timing=PATIENT) as lease:
            assert store.create("inside", b"%d" % number)  # fails if another process is in here
            store.write(f"held/{lease.fence.generation}", b"")
            lease.require()
            store.delete_file("inside")
            if number % 2 and turn == num_turns - 1:
                os._exit(0)  # dies with the lease


def hold_in_turns(store: Storage, num_processes: int, num_turns: int) -> None:
    processes = [
        SPAWN.Process(target=_take_turns, args=(store, number, num_turns)) for number in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * num_processes
    assert sorted(map(int, store.files("held"))) == list(range(1, num_processes * num_turns + 1))


def test_of_many_processes_one_holds_it_at_a_time(store: Storage) -> None:
    hold_in_turns(store, num_processes=6, num_turns=3)


def test_of_several_processes_one_holds_it_at_a_time_on_s3(s3_storage: Storage) -> None:
    hold_in_turns(s3_storage, num_processes=3, num_turns=2)


def test_a_live_holder_is_refused_and_named(store: Storage) -> None:
    with hold(store, PATH, "pretrain tiny", timing=PATIENT):
        with pytest.raises(LeaseError) as refused, hold(store, PATH, timing=PATIENT):
            pass
        message = str(refused.value)
        for part in ("runs/r", str(os.getpid()), socket.gethostname(), "pretrain tiny", "another name"):
            assert part in message


def _hold_for_ever(store: Storage, held: Any) -> None:
    with hold(store, PATH, timing=PATIENT):
        held.set()
        threading.Event().wait()


@pytest.mark.parametrize("is_buried", [False, True])
def test_a_killed_holder_on_this_machine_is_replaced_at_once(
    store: Storage, is_buried: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pointlab")
    held = SPAWN.Event()
    process = SPAWN.Process(target=_hold_for_ever, args=(store, held))
    process.start()
    assert held.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    if is_buried:
        process.join()
    with hold(store, PATH, timing=PATIENT) as lease:
        assert lease.fence.generation == 2
    assert "watching" not in caplog.text
    process.join()


def test_a_number_that_another_process_has_now_is_not_its_old_holder() -> None:
    own = this_process()
    assert not own.is_gone()
    assert own.model_copy(update={"started": "1"}).is_gone()


@pytest.mark.parametrize(
    "holder", [{"host": "elsewhere"}, {"machine": "before the restart"}, {"machine": ""}]
)
def test_a_holder_that_cannot_be_looked_up_is_not_known_to_be_gone(holder: dict[str, str]) -> None:
    ended = {"started": "1"}
    assert not this_process().model_copy(update=ended | holder).is_gone()


def test_a_silent_holder_elsewhere_is_replaced_after_watching_it(
    store: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pointlab")
    write_claim(store, 1)
    with hold(store, PATH, timing=HASTY) as lease:
        assert lease.fence.generation == 2
    watching, replaced = caplog.records
    assert "elsewhere" in watching.message
    assert "watching it for up to 0.2 s" in watching.message
    assert (replaced.levelname, "elsewhere" in replaced.message) == ("WARNING", True)


def test_a_damaged_claim_is_replaced_after_watching_it(store: Storage) -> None:
    store.write(Fence(PATH, 1).file, b"{")
    with hold(store, PATH, timing=HASTY) as lease:
        assert lease.fence.generation == 2


def test_a_beating_holder_elsewhere_is_refused(store: Storage) -> None:
    with (
        beating(store, 1),
        pytest.raises(LeaseError, match="elsewhere"),
        hold(store, PATH, timing=PATIENT),
    ):
        pass


class StoreThatStalls(Storage):
    """Answers the second look at a holder only after `expiry`; the holder, cut off as well, beats later."""

    looks = 0

    def read(self, path: str) -> bytes:
        self.looks += 1
        if self.looks == 2:
            time.sleep(2 * HASTY.expiry)
        if self.looks == 4:
            write_claim(Storage(self.address), 1, beat=1)
        return super().read(path)


def test_time_without_a_store_is_not_silence(store: Storage) -> None:
    write_claim(store, 1)
    stalls = StoreThatStalls(store.address)
    with pytest.raises(LeaseError, match="elsewhere"), hold(stalls, PATH, timing=HASTY):
        pass


def test_it_is_free_at_once_after_the_block_also_when_that_fails(store: Storage) -> None:
    with pytest.raises(ZeroDivisionError), hold(store, PATH, timing=PATIENT):
        raise ZeroDivisionError
    assert claim(store, 1)["released"]
    with hold(store, PATH, timing=PATIENT) as lease:
        assert lease.fence.generation == 2
        assert not claim(store, 2)["released"]


def test_a_contender_that_waits_gets_it_when_it_is_free(store: Storage) -> None:
    got, release = threading.Event(), threading.Event()

    def contend() -> None:
        with hold(store, PATH, wait=True, timing=PATIENT):
            got.set()
            release.wait()

    thread = threading.Thread(target=contend)
    with beating(store, 1):
        thread.start()
        beat = claim(store, 1)["beat"]
        until(lambda: bool(claim(store, 1)["beat"] > beat + 5))
        assert not got.is_set()
    write_claim(store, 1, released=True)
    assert got.wait(60)
    release.set()
    thread.join()


def test_a_fence_holds_until_there_is_a_newer_generation(store: Storage) -> None:
    with hold(store, PATH, timing=PATIENT) as lease:
        lease.require()
        old = pickle.loads(pickle.dumps(lease.fence))
    require(store, old)
    with hold(store, PATH, "the second", timing=PATIENT) as lease:
        require(store, lease.fence)
        with pytest.raises(LeaseError, match="the second"):
            require(store, old)


def test_a_holder_that_was_replaced_notices_and_leaves_the_lease_alone(store: Storage) -> None:
    with hold(store, PATH, timing=PATIENT) as lease:
        write_claim(store, 2)
        until(lambda: lease.is_lost)
        with pytest.raises(LeaseError, match="elsewhere"):
            lease.require()
    assert not claim(store, 1)["released"]
    assert not claim(store, 2)["released"]


def test_a_lease_on_s3_outlives_a_server_that_dies(s3_server: S3Server, s3_storage: Storage) -> None:
    with hold(s3_storage, PATH, timing=PATIENT) as lease:
        s3_server.kill_proxy()
        time.sleep(0.1)  # some beats
        s3_server.start_proxy()
        beat = claim(s3_storage, 1)["beat"]
        until(lambda: bool(claim(s3_storage, 1)["beat"] > beat))
        lease.require()
    assert claim(s3_storage, 1)["released"]


class StoreThatIsAway(Storage):
    """Fails while `away` is set, and tells that it did."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.away, self.failed = threading.Event(), threading.Event()

    def write(self, path: str, content: bytes) -> None:
        if self.away.is_set():
            self.failed.set()
            raise StorageError("The store is away.")
        super().write(path, content)


def test_a_lease_outlives_a_store_that_is_away_for_a_while(
    store: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    fails = StoreThatIsAway(store.address)
    with hold(fails, PATH, timing=PATIENT) as lease:
        for _ in range(2):
            fails.away.set()
            assert fails.failed.wait(60)
            fails.away.clear()
            fails.failed.clear()
            beat = claim(store, 1)["beat"]
            until(lambda beat=beat: bool(claim(store, 1)["beat"] > beat))  # type: ignore[misc]
        lease.require()
        assert caplog.text.count("cannot be refreshed") == 2
    assert claim(store, 1)["released"]


def test_a_store_that_is_away_at_the_end_fails_nothing(store: Storage) -> None:
    fails = StoreThatIsAway(store.address)
    with hold(fails, PATH, timing=PATIENT):
        fails.away.set()
        assert fails.failed.wait(60)
    assert not claim(store, 1)["released"]


def test_old_generations_are_cleared_but_for_the_newest_two(store: Storage) -> None:
    for _ in range(4):
        with hold(store, PATH, timing=PATIENT):
            pass
    assert store.files(PATH) == ["00000003.json", "00000004.json"]


class StoreWithAnOldListing(Storage):
    """Shows a contender the folder as it was before it was asked."""

    listings = 0

    def files(self, path: str) -> list[str]:
        self.listings += 1
        return [] if self.listings == 1 else super().files(path)


def test_a_number_that_was_cleared_away_is_not_taken_again(store: Storage) -> None:
    for _ in range(4):
        with hold(store, PATH, timing=PATIENT):
            pass
    with hold(StoreWithAnOldListing(store.address), PATH, timing=PATIENT) as lease:
        assert lease.fence.generation == 5
        assert store.files(PATH) == ["00000004.json", "00000005.json"]


class StoreWhoseListingLags(Storage):
    """Lists what was made since it was opened only later, as stores of many servers may."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._listed = super().files(PATH)

    def files(self, path: str) -> list[str]:
        return self._listed


def test_a_generation_that_is_not_listed_yet_counts(store: Storage) -> None:
    with hold(store, PATH, timing=PATIENT) as lease:
        lags = StoreWhoseListingLags(store.address)
        require(lags, lease.fence)
        write_claim(store, 2)
        with pytest.raises(LeaseError, match="elsewhere"):
            require(lags, lease.fence)


def test_the_file_says_who_and_nothing_of_the_environment(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-others")
    with hold(store, PATH, "pretrain tiny", timing=PATIENT):
        written = claim(store, 1)
        assert b"not-for-others" not in store.read(Fence(PATH, 1).file)
    assert set(written) == {"token", "holder", "beat", "released"}
    assert set(written["holder"]) == {"host", "pid", "since", "description", "machine", "started"}
    assert Holder.model_validate(written["holder"]) == this_process("pretrain tiny").model_copy(
        update={"since": written["holder"]["since"]}
    )
