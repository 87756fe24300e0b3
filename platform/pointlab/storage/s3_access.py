"""How this process reaches S3: endpoint, region and credentials from the usual AWS variables only.

Two libraries talk to the store: pyarrow carries data, boto3 does what pyarrow cannot (conditional writes,
unfinished uploads, saying why a bucket can't be used). Both are given the same endpoint and region here and
find the keys by themselves, so that no key passes through pointlab.
"""

import math
import os
import re
from typing import Any

import boto3.session
import pyarrow.fs as pafs
from botocore.config import Config

from pointlab.errors import StorageError

TIMEOUT_VARIABLE = "POINTLAB_STORAGE_TIMEOUT"
DEFAULT_TIMEOUT = 20.0
"""Seconds without a byte after which a request has failed: more than a busy store needs to answer."""
CONNECT_TIMEOUT = 5.0
REQUEST_TRIES = 3
"""How often pyarrow sends one request: a large upload need not begin again for one part that went wrong."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
SEGMENT = re.compile(r"(?!\.\.?$)[\w!\-.*'()=+@:,]+")
ENDPOINT = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


def parse_root(rest: str) -> str:
    """`bucket/prefix` from what follows `s3://`; StorageError for names that no store would take.

    The message does not repeat the address: people put keys into it.
    """
    bucket, *prefix = rest.removesuffix("/").split("/")
    if BUCKET.fullmatch(bucket) and all(SEGMENT.fullmatch(segment) for segment in prefix):
        return "/".join([bucket, *prefix])
    raise StorageError(
        "The bucket or prefix of the storage address is not one that can be used.",
        expected="s3://bucket/prefix: 3 to 63 letters, digits, dots or hyphens as the bucket, then parts of"
        " letters, digits and !-_.*'()=+@:, between single slashes",
        remedy="give endpoint and keys in AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def endpoint() -> str | None:
    """The address of a store other than AWS, or None; StorageError if it is no HTTP address."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if address := os.environ.get(name):
            if not ENDPOINT.fullmatch(address):
                raise StorageError(
                    f"{name} is not the address of a store.",
                    expected="http://host:port or https://host, without user name or password",
                )
            return address.rstrip("/")
    return None


def region() -> str:
    """The region that requests are signed for."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def without_secrets(text: str) -> str:
    """`text` with every key of this process's environment blotted out."""
    for name in SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "***")
    return text


def open_filesystem(*, in_one_request: bool) -> pafs.S3FileSystem:
    """The store for data.

    `in_one_request` sends a small file as one request instead of an upload in parts. It must not be used
    for a large one: where the first part fails, closing the stream would leave an empty file.
    """
    _prepare_environment()
    return pafs.S3FileSystem(
        region=region(),
        endpoint_override=endpoint(),
        connect_timeout=CONNECT_TIMEOUT,
        request_timeout=_timeout(),
        allow_delayed_open=in_one_request,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=REQUEST_TRIES),
    )


def open_client() -> Any:
    """The store for everything else. A request is sent once: who repeats it must know that it did."""
    _prepare_environment()
    config = Config(
        connect_timeout=CONNECT_TIMEOUT, read_timeout=_timeout(), retries={"total_max_attempts": 1}
    )
    session = boto3.session.Session()
    return session.client("s3", region_name=region(), endpoint_url=endpoint(), config=config)


def _prepare_environment() -> None:
    """Set what both libraries read when they start, where the user has not; refuse keys with line breaks."""
    for name in SECRETS:
        if re.search(r"\s", os.environ.get(name, "")):
            raise StorageError(f"{name} holds a space or a line break.", remedy="set it again without")
    # Object stores other than AWS refuse the checksums that newer SDKs add unasked; we verify by our own.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    if endpoint():
        # Off AWS there is no service to ask for credentials, and asking takes seconds.
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


def _timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE)
    try:
        seconds = DEFAULT_TIMEOUT if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise StorageError(f"{TIMEOUT_VARIABLE} is {text!r}.", expected="a number of seconds from 1 on")
    return seconds
