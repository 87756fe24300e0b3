"""Errors of both libraries, as they were seen, are told apart: away for now, absent, or refused."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from pointlab.errors import StorageError, UnreachableError
from pointlab.storage.files import AbsentError
from pointlab.storage.s3_errors import explained

WHERE = "s3://bucket/prefix/a"
KEY = "for key 'a' in bucket 'bucket': AWS Error"


def answer(code: str, status: int) -> ClientError:
    """What boto3 raises when the store answers like this."""
    metadata = {"HTTPStatusCode": status}
    return ClientError(
        {"Error": {"Code": code, "Message": "Why."}, "ResponseMetadata": metadata}, "PutObject"
    )


AWAY = [
    OSError(
        f"When uploading part {KEY} NETWORK_CONNECTION during UploadPart operation: curlCode: 7, Could not"
    ),
    OSError(
        f"When getting information {KEY} UNKNOWN (HTTP status 503) during HeadObject operation: No body."
    ),
    OSError(
        f"When getting information {KEY} UNKNOWN (HTTP status 429) during HeadObject operation: No body."
    ),
    OSError(f"When uploading part {KEY} SLOW_DOWN during UploadPart operation: Reduce your request rate."),
    OSError(
        f"When completing upload {KEY} NO_SUCH_UPLOAD during CompleteMultipartUpload operation: It ended."
    ),
    OSError(
        f"When uploading {KEY} UNKNOWN (HTTP status 400) during PutObject operation: Unable to parse"
        " ExceptionName: RequestTimeout Message: Idle."
    ),
    OSError("Connection reset by peer"),
    EndpointConnectionError(endpoint_url="http://store"),
    ReadTimeoutError(endpoint_url="http://store"),
    answer("ConditionalRequestConflict", 409),
    answer("InternalError", 500),
    answer("502", 502),
]
REFUSED = [
    (OSError(f"When reading {KEY} ACCESS_DENIED during HeadObject operation: No body."), "not open to this"),
    (
        OSError(f"When initiating {KEY} NO_SUCH_BUCKET during CreateMultipartUpload operation: No."),
        "no bucket",
    ),
    (
        OSError(f"When reading {KEY} NETWORK_CONNECTION during HeadObject operation: curlCode: 60, SSL peer"),
        "certificate authority",
    ),
    (
        OSError(f"When reading {KEY} UNKNOWN (HTTP status 301) during HeadObject operation: No body."),
        "AWS_REGION to the region",
    ),
    (
        OSError(
            f"When uploading {KEY} UNKNOWN (HTTP status 400) during PutObject operation: Unable to parse"
            " ExceptionName: ExpiredToken Message: The token has expired."
        ),
        "not open to this user: ExpiredToken",
    ),
    (answer("SignatureDoesNotMatch", 403), "AWS_SECRET_ACCESS_KEY"),
    (answer("403", 403), "not open to this user"),
    (answer("NoSuchBucket", 404), "no bucket bucket at AWS"),
    (answer("NotImplemented", 501), "cannot be used: NotImplemented"),
    (NoCredentialsError(), "no credentials"),
    (SSLError(endpoint_url="https://store", error="self-signed"), "certificate authority"),
    (RecursionError("maximum recursion depth exceeded"), "redirected"),
]


@pytest.fixture(autouse=True)
def _on_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("error", AWAY, ids=str)
def test_a_store_that_may_come_back_is_away(error: Exception) -> None:
    meaning = explained(error, WHERE)
    assert isinstance(meaning, UnreachableError)
    assert f"{WHERE} cannot be reached" in str(meaning)


@pytest.mark.parametrize(("error", "message"), REFUSED, ids=str)
def test_a_refusal_says_what_to_do(error: Exception, message: str) -> None:
    meaning = explained(error, WHERE)
    assert type(meaning) is StorageError
    assert message in str(meaning)
    assert meaning.remedy


def test_what_is_not_there_is_absent() -> None:
    assert isinstance(explained(FileNotFoundError("Path does not exist"), WHERE), AbsentError)


def test_an_error_that_was_explained_stays_as_it_is() -> None:
    error = UnreachableError("changed while it was read")
    assert explained(error, WHERE) is error


def test_neither_keys_nor_signed_addresses_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    text = str(
        explained(OSError("very-secret a-token at http://store/a?X-Amz-Signature=abc went wrong"), WHERE)
    )
    assert "http://store/a went wrong" in text
    assert not any(secret in text for secret in ("very-secret", "a-token", "abc"))
