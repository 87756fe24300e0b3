"""What a store on S3 promises, held against a real server that is killed, paused and revived."""

import itertools
import logging
import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from pointlab.errors import StorageError, UnreachableError
from pointlab.storage import AbsentError, Storage, open_storage, publish, read_manifest
from pointlab.storage.artifact import NUM_TRIES, put
from pointlab.storage.files import Fingerprint
from pointlab.storage.patience import VARIABLE
from pointlab.storage.s3 import PART
from pointlab.storage.s3_access import open_client
from s3_server import S3Server, free_ports

SIZES = [0, 5, PART - 1, PART, 2 * PART + 1]
LARGE = 6 * PART


class Counting(Storage):
    """A store that counts what is written and what is read back."""

    num_writes = num_reads = 0

    def write(self, path: str, content: bytes) -> None:
        self.num_writes += 1
        super().write(path, content)

    def read(self, path: str) -> bytes:
        self.num_reads += 1
        return super().read(path)


class Flipping(Counting):
    """A store that keeps another byte than it was given, the first few times."""

    num_flips = 1

    def write(self, path: str, content: bytes) -> None:
        if self.num_writes < self.num_flips:
            content = content[:-1] + bytes([content[-1] ^ 1])
        super().write(path, content)


class Untagged(Counting):
    """A store whose tags say nothing about the content, as where it encrypts with keys of its own."""

    def fingerprint(self, content: bytes) -> Fingerprint:
        found = super().fingerprint(content)
        return Fingerprint(found.size, found.sha256, "0" * 32)


class Uploads:
    """The unfinished uploads of a store, seen and made from outside."""

    def __init__(self, storage: Storage) -> None:
        self.bucket, _, self.prefix = storage.root.partition("/")
        self.client = open_client()

    def unfinished(self) -> list[str]:
        """Paths to which an upload was begun and not ended."""
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return [upload["Key"].removeprefix(f"{self.prefix}/") for upload in found.get("Uploads", [])]

    def begin(self, path: str) -> None:
        """Leave what a process leaves that is killed while it uploads."""
        self.client.create_multipart_upload(Bucket=self.bucket, Key=f"{self.prefix}/{path}")


@contextmanager
def outage_in_mid_upload(server: S3Server, uploads: Uploads, seconds: float) -> Iterator[None]:
    """Kill the server as soon as an upload has begun, and revive it after some seconds."""

    is_ready, is_over = threading.Event(), threading.Event()

    def strike() -> None:
        before = uploads.unfinished()
        is_ready.set()
        while uploads.unfinished() == before:
            assert not is_over.is_set(), "the upload had ended before the server could be killed"
        server.kill_proxy()
        time.sleep(seconds)
        server.start_proxy()

    with ThreadPoolExecutor(1) as fate:
        struck = fate.submit(strike)
        is_ready.wait()
        try:
            yield
        finally:
            is_over.set()
        struck.result()


class Overloaded(BaseHTTPRequestHandler):
    """Answers every request by asking for fewer."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def overloaded_endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Overloaded)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def single_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is not hidden by repetitions inside of pyarrow."""
    monkeypatch.setattr("pointlab.storage.s3_access.REQUEST_TRIES", 1)


@pytest.fixture
def impatient(single_requests: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again for long."""
    monkeypatch.setenv("POINTLAB_STORAGE_PATIENCE", "0")
    monkeypatch.setattr("pointlab.storage.s3.CHECK_PATIENCE", 0.5)


def dead_endpoint() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


@pytest.mark.parametrize("size", SIZES)
def test_the_stores_own_checksum_verifies_an_upload(s3_storage: Storage, size: int) -> None:
    storage, content = Counting(s3_storage.address), os.urandom(size)
    put(storage, "a", content)
    assert storage.num_reads == 0
    assert storage.read("a") == content


@pytest.mark.parametrize("size", [5, 2 * PART])
def test_a_byte_that_was_kept_wrong_is_uploaded_again(s3_storage: Storage, size: int) -> None:
    storage, content = Flipping(s3_storage.address), os.urandom(size)
    put(storage, "a", content)
    assert storage.num_writes == 2
    assert s3_storage.read("a") == content


def test_a_store_that_never_keeps_what_it_gets_is_an_error(s3_storage: Storage) -> None:
    storage = Flipping(s3_storage.address)
    storage.num_flips = NUM_TRIES
    with pytest.raises(StorageError, match="does not hold what was just written"):
        put(storage, "a", b"content")
    assert storage.num_writes == NUM_TRIES


def test_what_has_no_usable_checksum_is_read_back(s3_storage: Storage) -> None:
    storage = Untagged(s3_storage.address)
    put(storage, "a", b"content")
    assert storage.num_reads == 1
    assert not storage.holds("a", storage.fingerprint(b"c0ntent"))


def test_what_is_not_there_is_not_held(s3_storage: Storage) -> None:
    assert not s3_storage.holds("a", s3_storage.fingerprint(b"content"))
    with pytest.raises(AbsentError, match=f"There is no {s3_storage.address}/a"):
        s3_storage.read("a")


def test_a_bucket_without_prefix_is_an_address(s3_storage: Storage) -> None:
    bucket, _, prefix = s3_storage.root.partition("/")
    whole = open_storage(f"s3://{bucket}/")
    s3_storage.write("a", b"content")
    assert whole.read(f"{prefix}/a") == b"content"
    assert prefix in whole.folders("")


@pytest.mark.usefixtures("single_requests")
def test_an_artifact_survives_a_server_that_dies_in_mid_upload(
    s3_server: S3Server, s3_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    contents, uploads = {"small": b"1", "large": os.urandom(LARGE)}, Uploads(s3_storage)
    uploads.begin("x/large-of-somebody-else")
    with outage_in_mid_upload(s3_server, uploads, seconds=1):
        manifest = publish(Storage(s3_storage.address), "x", "thing", contents, {})
    assert read_manifest(s3_storage, "x") == manifest
    assert {name: s3_storage.read(f"x/{name}") for name in manifest.files} == contents
    assert uploads.unfinished() == ["x/large-of-somebody-else"]
    began, ended = (record.getMessage() for record in caplog.records)
    assert "cannot be reached" in began
    assert "answers again after" in ended


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [5, 30, 120])
def test_an_upload_outlives_an_outage(s3_server: S3Server, s3_storage: Storage, seconds: float) -> None:
    content, uploads = os.urandom(LARGE), Uploads(s3_storage)
    with outage_in_mid_upload(s3_server, uploads, seconds):
        put(s3_storage, "a", content)
    assert s3_storage.read("a") == content
    assert uploads.unfinished() == []


@pytest.mark.usefixtures("impatient")
def test_an_artifact_is_absent_where_patience_ends_in_mid_upload(
    s3_server: S3Server, s3_storage: Storage
) -> None:
    storage, contents = Storage(s3_storage.address), {"small": b"1", "large": os.urandom(LARGE)}
    with (
        outage_in_mid_upload(s3_server, Uploads(s3_storage), seconds=1),
        pytest.raises(UnreachableError, match="x/large"),
    ):
        publish(storage, "x", "thing", contents, {})
    assert read_manifest(s3_storage, "x") is None
    assert s3_storage.sweep("x") == 1
    publish(s3_storage, "x", "thing", {"small": b"2"}, {})
    assert s3_storage.read("x/small") == b"2"


@pytest.mark.usefixtures("single_requests")
@pytest.mark.parametrize("size", [1, LARGE])
def test_a_server_that_accepts_and_says_nothing_is_outlived(
    s3_server: S3Server,
    s3_storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    size: int,
) -> None:
    monkeypatch.setenv("POINTLAB_STORAGE_TIMEOUT", "1")
    storage, content = Storage(s3_storage.address), os.urandom(size)

    def wake_when_missed() -> None:
        while "Timeout was reached" not in caplog.text:
            time.sleep(0.05)
        s3_server.resume()

    s3_server.pause()
    with ThreadPoolExecutor(1) as fate:
        woken = fate.submit(wake_when_missed)
        put(storage, "a", content)
        woken.result()
    assert s3_storage.read("a") == content


OPERATIONS: dict[str, Callable[[Storage], Any]] = {
    "read": lambda storage: storage.read("a"),
    "write": lambda storage: storage.write("a", b"content"),
    "write in parts": lambda storage: storage.write("a", bytes(PART)),
    "create": lambda storage: storage.create("a", b"content"),
    "holds": lambda storage: storage.holds("a", storage.fingerprint(b"content")),
    "exists": lambda storage: storage.exists("a"),
    "folders": lambda storage: storage.folders(""),
    "files": lambda storage: storage.files(""),
    "delete_file": lambda storage: storage.delete_file("a"),
    "delete_folder": lambda storage: storage.delete_folder("a"),
    "sweep": lambda storage: storage.sweep(""),
}


def outcomes(address: str) -> dict[str, type[BaseException] | None]:
    """What each operation raises; all at once, as the libraries take their time over each."""
    with ThreadPoolExecutor(len(OPERATIONS)) as pool:
        tried = {name: pool.submit(use, Storage(address)) for name, use in OPERATIONS.items()}
        return {
            name: None if (error := future.exception()) is None else type(error)
            for name, future in tried.items()
        }


@pytest.mark.usefixtures("impatient")
def test_no_operation_waits_for_ever(s3_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead_endpoint())
    assert outcomes(s3_storage.address) == dict.fromkeys(OPERATIONS, UnreachableError)


@pytest.mark.usefixtures("impatient")
def test_an_overloaded_store_is_one_to_try_again(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch, overloaded_endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", overloaded_endpoint)
    assert outcomes(s3_storage.address) == dict.fromkeys(OPERATIONS, UnreachableError)


def test_a_refusal_is_not_waited_for(s3_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = dict.fromkeys(OPERATIONS, StorageError)
    # What cannot be swept only costs space, so that is a line in the log.
    assert outcomes(s3_storage.address) == refused | {"sweep": None}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"not open to this user.*AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials for s3://"),
        ({"AWS_ACCESS_KEY_ID": "two\nlines"}, "AWS_ACCESS_KEY_ID holds a space or a line break"),
        ({"AWS_ENDPOINT_URL": dead_endpoint()}, r"cannot be reached.*AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, r"cannot be reached.*AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:80"}, r"AWS_ENDPOINT_URL is not the address"),
        ({"AWS_ENDPOINT_URL_S3": "http://user:wrong@127.0.0.1"}, r"AWS_ENDPOINT_URL_S3 is not the address"),
        ({"POINTLAB_STORAGE_PATIENCE": "a while"}, r"'a while'.*a number of seconds"),
        ({"POINTLAB_STORAGE_TIMEOUT": "0"}, r"'0'.*a number of seconds"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_store_that_cannot_be_used_is_refused_at_once(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=message) as caught:
        open_storage(s3_storage.address)
    text = "".join(traceback.format_exception(caught.value))
    assert "wrong" not in text
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") or "pointlab-secret" not in text


def test_a_bucket_that_does_not_exist_is_refused_and_not_made(s3_storage: Storage) -> None:
    for _ in range(2):
        with pytest.raises(StorageError, match=r"no bucket nowhere at http.*make it with"):
            open_storage("s3://nowhere/prefix")


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///a", "s3://b", "s3://bucket//a", "s3://bucket/../a", "s3://bucket?a=b", "s3://a b/c"],
)
def test_an_odd_bucket_or_prefix_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="s3://bucket/prefix"):
        Storage(address)


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(StorageError, match="AWS_SECRET_ACCESS_KEY") as caught:
        Storage("s3://somebody:very-secret@bucket/prefix")
    assert "very-secret" not in str(caught.value)


def test_of_many_who_create_a_file_exactly_one_does(s3_storage: Storage) -> None:
    contenders = [Storage(s3_storage.address) for _ in range(8)]
    start = threading.Barrier(len(contenders))

    def contend(number: int, path: str) -> bool:
        contenders[number].delete_file("nothing")  # connects
        start.wait()
        return contenders[number].create(path, f"contender {number}".encode())

    with ThreadPoolExecutor(len(contenders)) as pool:
        for path in ("first", "second", "third"):
            is_winner = list(pool.map(contend, range(len(contenders)), [path] * len(contenders)))
            assert is_winner.count(True) == 1
            assert s3_storage.read(path) == f"contender {is_winner.index(True)}".encode()


def test_a_file_that_is_replaced_all_the_time_is_read_whole(s3_storage: Storage) -> None:
    def version(number: int) -> bytes:
        return b"%d " % number * (1 + number % 5)

    def replace() -> int:
        writer = Storage(s3_storage.address)
        for number in itertools.count():
            writer.write("a", version(number))
            if is_over.wait(0.02):
                return number
        raise AssertionError

    is_over = threading.Event()
    s3_storage.write("a", version(0))
    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace)
        seen = {s3_storage.read("a") for _ in range(20)}
        is_over.set()
        assert replacing.result() > 1
    assert seen == {version(int(content.split()[0])) for content in seen}


class LosingAnswers:
    """A client that hears nothing of its first put, which the store has carried out or not."""

    def __init__(self, client: Any, is_carried_out: bool) -> None:
        self.client, self.is_carried_out, self.num_puts = client, is_carried_out, 0

    def put_object(self, **request: Any) -> None:
        self.num_puts += 1
        if self.num_puts > 1 or self.is_carried_out:
            self.client.put_object(**request)
        if self.num_puts == 1:
            raise ReadTimeoutError(endpoint_url="http://store")


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_lost_answer_hides_no_creation(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch, is_carried_out: bool
) -> None:
    client = LosingAnswers(open_client(), is_carried_out)
    monkeypatch.setattr("pointlab.storage.s3.open_client", lambda: client)
    assert Storage(s3_storage.address).create("a", b"ours")
    assert client.num_puts == 2
    assert s3_storage.read("a") == b"ours"


def test_a_lost_answer_makes_nobody_elses_file_ours(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_storage.write("a", b"theirs")
    client = LosingAnswers(open_client(), is_carried_out=False)
    monkeypatch.setattr("pointlab.storage.s3.open_client", lambda: client)
    assert not Storage(s3_storage.address).create("a", b"ours")
    assert client.num_puts == 2
    assert s3_storage.read("a") == b"theirs"


def test_exactly_the_unfinished_uploads_below_a_path_are_swept(s3_storage: Storage) -> None:
    uploads = Uploads(s3_storage)
    for path in ("run/a", "run/deep/b", "run/deep/b", "run-2/a", "other"):
        uploads.begin(path)
    assert s3_storage.sweep("run") == 3
    assert uploads.unfinished() == ["other", "run-2/a"]
    assert s3_storage.sweep("") == 2
    assert s3_storage.sweep("") == 0


def test_other_stores_are_spared_what_only_aws_understands(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_EC2_METADATA_DISABLED",
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported")
    open_storage(s3_storage.address)
    assert [os.environ[name] for name in names] == ["when_required", "when_supported", "true"]


def test_no_secret_is_logged_or_pickled(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = open_storage(s3_storage.address)
    put(storage, "a", b"content")
    pickled = pickle.dumps(storage)
    assert pickle.loads(pickled).read("a") == b"content"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pointlab-wrong")
    with pytest.raises(StorageError):
        open_storage(s3_storage.address)
    traces = [caplog.text, repr(storage), repr(vars(storage)), str(pickled)]
    assert not any(secret in trace for trace in traces for secret in ("pointlab-secret", "pointlab-wrong"))


def test_a_patience_of_its_own_comes_before_that_of_the_environment(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "600")
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead_endpoint())
    with pytest.raises(UnreachableError, match="tried again for 0 s"):
        Storage(s3_storage.address, patience=0).exists("a")
