"""What an error of pyarrow or boto3 means: a store that is away for now, or a refusal with its remedy.

pyarrow reports all in the text of an OSError: `AWS Error NAME (HTTP status N) during ... operation: ...`.
boto3 has classes, a code and a status.
"""

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from pointlab.errors import StorageError, UnreachableError
from pointlab.storage.files import AbsentError
from pointlab.storage.s3_access import endpoint, without_secrets

ARROW = re.compile(
    r"AWS Error (?P<name>\w+)(?: \(HTTP status (?P<status>-?\d+)\))? during (?P<rest>.*)", re.S
)
PARSED = re.compile(r"Unable to parse ExceptionName: (\w+)")
UNTRUSTED = re.compile(r"curlCode: (51|60|77|90|91),")
"""Curl's codes for certificates that are not trusted: another try would not change that."""
QUERY = re.compile(r"(?<=\w)\?[\w-]+[^\s\"']*")
PASSING_STATUS = frozenset({408, 409, 429})
PASSING = frozenset(
    {
        "conditionalrequestconflict",
        "internalerror",
        "internalfailure",
        "networkconnection",
        "nosuchupload",  # completed by a request whose answer was lost, or swept by somebody
        "operationaborted",
        "requestexpired",
        "requestlimitexceeded",
        "requesttimeout",
        "requesttimetooskewed",
        "serviceunavailable",
        "slowdown",
        "throttling",
        "throttlingexception",
    }
)
"""Names of errors, in lower case and without hyphens, that another try may not meet."""
FORBIDDEN = frozenset(
    {
        "401",
        "403",
        "accessdenied",
        "expiredtoken",
        "incompletesignature",
        "invalidaccesskeyid",
        "invalidclienttokenid",
        "invalidsignature",
        "invalidtoken",
        "missingauthenticationtoken",
        "signaturedoesnotmatch",
        "unrecognizedclient",
    }
)


def explained(error: Exception, where: str) -> StorageError:
    """What `error`, met at the address `where`, means to the user; UnreachableError if it may pass."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, FileNotFoundError):
        return AbsentError(f"There is no {where}.")
    if isinstance(error, ClientError):
        return _explain_answer(error, where)
    if isinstance(error, BotoCoreError):
        return _explain_library(error, where)
    if isinstance(error, RecursionError):  # how boto3 takes a server that redirects every request
        return _refused(where, "every request is redirected", "check AWS_ENDPOINT_URL and AWS_REGION")
    return _explain_text(str(error), where)


def _explain_answer(error: ClientError, where: str) -> StorageError:
    answer = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    name = answer.get("Code") or str(status)
    return _judge(name, status, f"{name}: {answer.get('Message') or status}", where)


def _explain_text(text: str, where: str) -> StorageError:
    found = ARROW.search(text)
    if found is None:  # not an answer of the store: the connection's end
        return _away(where, text)
    if UNTRUSTED.search(text):
        return _untrusted(where, found["rest"])
    parsed = PARSED.search(text)
    status = int(found["status"] or 0)
    name = parsed[1] if parsed else (str(status) if found["name"] == "UNKNOWN" else found["name"])
    return _judge(name, status, f"{name} during {found['rest']}", where)


def _judge(name: str, status: int, reason: str, where: str) -> StorageError:
    code = name.replace("_", "").lower()
    if code in PASSING or (status >= 500 and status != 501) or status in PASSING_STATUS:
        return _away(where, reason)
    if code == "nosuchbucket":
        return _no_bucket(where)
    if code in FORBIDDEN:
        return _forbidden(where, reason)
    if status == 301 or code in {"permanentredirect", "illegallocationconstraintexception"}:
        return _refused(where, reason, "set AWS_REGION to the region of the bucket")
    return _refused(where, reason, "check the address, AWS_ENDPOINT_URL and AWS_REGION")


def _explain_library(error: BotoCoreError, where: str) -> StorageError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StorageError(
            f"There are no credentials for {where}.",
            expected="keys in the environment of every process that uses the store",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )
    if isinstance(error, SSLError):
        return _untrusted(where, str(error))
    if isinstance(error, ProxyConnectionError):
        return _refused(where, str(error), "check HTTP_PROXY and NO_PROXY")
    if isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError):
        return _away(where, str(error))
    return _refused(where, str(error), "check the AWS variables and profile of this process")


def _away(where: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"{where} cannot be reached: {_sentence(reason)}",
        remedy="check that the store runs, that AWS_ENDPOINT_URL names it, and the network",
    )


def _forbidden(where: str, reason: str) -> StorageError:
    return StorageError(
        f"{where} is not open to this user: {_sentence(reason)}",
        expected="keys that may list, read, write and delete there",
        remedy="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what the store allows their owner",
    )


def _no_bucket(where: str) -> StorageError:
    bucket = where.removeprefix("s3://").split("/")[0]
    return StorageError(
        f"There is no bucket {bucket} at {endpoint() or 'AWS'}.",
        expected="a bucket that exists: pointlab makes none",
        remedy="make it with the store's own tools, or name another as storage.root",
    )


def _untrusted(where: str, reason: str) -> StorageError:
    remedy = (
        "give the store's certificate authority in AWS_CA_BUNDLE and SSL_CERT_FILE, or check http or https"
    )
    return _refused(where, reason, remedy)


def _refused(where: str, reason: str, remedy: str) -> StorageError:
    return StorageError(f"{where} cannot be used: {_sentence(reason)}", remedy=remedy)


def _sentence(reason: str) -> str:
    words = QUERY.sub("", " ".join(reason.split()))
    return without_secrets(words).rstrip(".") + "."
