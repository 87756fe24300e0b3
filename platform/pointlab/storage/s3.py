"""Files in a bucket: every operation is tried again while the store does not answer.

An upload is not atomic in what it leaves behind: one that fails leaves an unfinished upload, which costs
space and is seen nowhere. It is aborted before the next attempt; those of killed processes are swept.
"""

import functools
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pyarrow.fs as pafs
from botocore.exceptions import BotoCoreError, ClientError

from pointlab.errors import UnreachableError
from pointlab.storage.files import AbsentError, Files, Fingerprint, sha256
from pointlab.storage.patience import Patience, patience_seconds
from pointlab.storage.s3_access import open_client, open_filesystem, parse_root
from pointlab.storage.s3_errors import explained

__all__ = ["S3Files", "parse_root"]
logger = logging.getLogger(__name__)
Result = TypeVar("Result")

PART = 10 * 2**20
"""pyarrow cuts an upload into parts of this many bytes; a smaller file can go in one request."""
PARTS_AHEAD = 32
"""Parts that pyarrow may have copied and not yet sent: memory, against breaks in the stream of parts."""
READ_TRIES = 5
"""How often a file is read that another process replaces meanwhile."""
CHECK_PATIENCE = 10.0
"""Seconds for a first look, which a person waits for."""
SETTLE_SECONDS = 0.25
"""How long stores that check a condition before they have received the content may take to agree."""


class S3Files(Files):
    """Files by bucket and key. Connections are made on first use, and never travel between processes."""

    def __init__(self, root: str, patience: float | None = None) -> None:
        """Work below `root`, with a patience of so many seconds, or that of the environment."""
        self.root = root
        self._patience = Patience(patience_seconds() if patience is None else patience, f"s3://{root}")

    @functools.cached_property
    def _client(self) -> Any:
        return open_client()

    @functools.cached_property
    def _small(self) -> pafs.S3FileSystem:
        return open_filesystem(in_one_request=True)

    @functools.cached_property
    def _large(self) -> pafs.S3FileSystem:
        return open_filesystem(in_one_request=False)

    def _try(self, path: str, attempt: Callable[[int], Result], patience: Patience | None = None) -> Result:
        """What `attempt(n)` returns at last; its errors are those of the libraries."""

        def translated(number: int) -> Result:
            try:
                return attempt(number)
            except (OSError, BotoCoreError, ClientError, RecursionError) as error:
                # The original is left out: its text may hold more of a request than a log should.
                raise explained(error, f"s3://{path}") from None

        return (patience or self._patience).carry_out(translated)

    def check(self, root: str) -> None:
        """Look at the bucket, write an empty file and delete it."""
        probe = f"{root}/.probe-{os.getpid()}"
        bucket, key = _split(probe)

        def attempt(_: int) -> None:
            self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)  # says why, unlike a HEAD
            self._small.open_output_stream(probe).close()
            self._client.delete_object(Bucket=bucket, Key=key)

        self._try(root, attempt, Patience(CHECK_PATIENCE, f"s3://{root}"))

    def read(self, path: str) -> bytes:
        """Content of the object, which has the tag that was seen before it was fetched.

        pyarrow asks for the size first; what is replaced between the two would come cut, or filled up.
        """

        def attempt(_: int) -> bytes:
            for _ in range(READ_TRIES):
                with self._small.open_input_file(path) as stream:
                    size, tag = stream.size(), _tag(stream)
                    content: bytes = stream.read(size)
                if len(content) == size and self._belongs(content, tag, path):
                    return content
            raise UnreachableError(f"s3://{path} changed whenever it was read.")

        return self._try(path, attempt)

    def _belongs(self, content: bytes, tag: str | None, path: str) -> bool:
        """Whether the content has this tag: by its MD5 or, as that takes its time, by a second look."""
        if len(content) < PART and _md5(content).hex() == tag:
            return True
        with self._small.open_input_file(path) as again:
            return _tag(again) == tag

    def write(self, path: str, content: bytes) -> None:
        """Upload; what an attempt that failed has left is aborted before the next."""

        def attempt(number: int) -> None:
            if number > 0:
                self._abort(upload for upload in self._unfinished(path) if upload["Key"] == _split(path)[1])
            filesystem = self._small if len(content) < PART else self._large
            with filesystem.open_output_stream(path) as stream:
                for piece in _pieces(content, PARTS_AHEAD * PART):
                    stream.write(piece)
                    stream.flush()

        self._try(path, attempt)

    def create(self, path: str, content: bytes) -> bool:
        """Put with the condition that nothing is there, then look whose content it is.

        Some stores check the condition before they have received the content and let several pass at once,
        of whom the last to write wins.
        """
        if not self._put_where_nothing_is(path, content):
            return False
        time.sleep(SETTLE_SECONDS)
        try:
            return self.read(path) == content
        except AbsentError:
            return False

    def _put_where_nothing_is(self, path: str, content: bytes) -> bool:
        """Whether `path` may now hold this content: False where the store says that something was there.

        An earlier try of ours may be that something, if its answer was lost.
        """
        bucket, key = _split(path)
        is_lost = False

        def attempt(_: int) -> bool:
            nonlocal is_lost
            try:
                self._client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
            except (ClientError, BotoCoreError) as error:
                if _status(error) == 412:
                    return is_lost
                is_lost = is_lost or _status(error) not in range(400, 500)
                raise
            return True

        return self._try(path, attempt)

    def fingerprint(self, content: bytes) -> Fingerprint:
        """Size, sha256, and the tag that S3 gives: the MD5 of a small file, or of its parts' MD5s."""
        if len(content) < PART:
            tag = _md5(content).hex()
        else:
            digests = [_md5(piece) for piece in _pieces(content, PART)]
            tag = f"{_md5(b''.join(digests)).hex()}-{len(digests)}"
        return Fingerprint(len(content), sha256(content), tag)

    def entity_tag(self, path: str) -> str | None:
        """The tag that the store gives the object."""

        def attempt(_: int) -> str | None:
            try:
                with self._small.open_input_file(path) as stream:
                    return _tag(stream)
            except FileNotFoundError:
                return None

        return self._try(path, attempt)

    def exists(self, path: str) -> bool:
        """Whether there is an object, or one with a longer key."""
        info = self._try(path, lambda _: self._small.get_file_info(path))
        return bool(info.type != pafs.FileType.NotFound)

    def folders(self, path: str) -> list[str]:
        """Common prefixes of the objects below `path`."""
        return [info.base_name for info in self._children(path, pafs.FileType.Directory)]

    def sizes(self, path: str) -> dict[str, int]:
        """Bytes of the objects directly below `path`."""
        return {info.base_name: info.size for info in self._children(path, pafs.FileType.File)}

    def _children(self, path: str, kind: Any) -> list[Any]:
        selector = pafs.FileSelector(path, allow_not_found=True)
        infos = self._try(path, lambda _: self._small.get_file_info(selector))
        return [info for info in infos if info.type == kind]

    def delete_file(self, path: str) -> None:
        """Delete the object."""
        bucket, key = _split(path)
        self._try(path, lambda _: self._client.delete_object(Bucket=bucket, Key=key))

    def delete_folder(self, path: str) -> None:
        """Delete every object below `path`."""

        def attempt(_: int) -> None:
            try:
                self._small.delete_dir(path)
            except FileNotFoundError:
                return

        self._try(path, attempt)

    def sweep(self, path: str) -> int:
        """Abort the unfinished uploads below `path`."""
        return self._try(path, lambda _: self._abort(self._unfinished(f"{path}/")))

    def _unfinished(self, start: str) -> Iterator[dict[str, Any]]:
        """Uploads that were begun to keys that begin like this."""
        bucket, prefix = _split(start)
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Uploads", [])

    def _abort(self, uploads: Iterable[dict[str, Any]]) -> int:
        """Abort each of these and return how many; a store that does not let us is only named in the log."""
        bucket, _ = _split(self.root)
        num_aborted = 0
        try:
            for upload in list(uploads):
                where = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                self._client.abort_multipart_upload(**where)
                num_aborted += 1
        except ClientError as error:
            meaning = explained(error, f"s3://{bucket}")
            if isinstance(meaning, UnreachableError):
                raise
            logger.warning("Unfinished uploads stay, and cost space: %s", meaning)
        return num_aborted


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key


def _pieces(content: bytes, size: int) -> Iterator[memoryview]:
    """`content` in pieces of `size` bytes, none of them copied."""
    view = memoryview(content)
    return (view[start : start + size] for start in range(0, len(content), size))


def _md5(content: bytes | memoryview) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _tag(stream: Any) -> str | None:
    """The entity tag of an open object, without its quotes."""
    tag = stream.metadata().get("ETag")
    return None if tag is None else tag.decode().strip('"')


def _status(error: ClientError | BotoCoreError) -> int:
    """The HTTP status that the store answered with; 0 if there was no answer."""
    response = error.response if isinstance(error, ClientError) else {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
