"""What went wrong with a store -> one sentence, a hint, an exit code.

The packages behind fsspec have some hundred error classes. They are told apart by name and HTTP
status, so that nothing needs to be imported here.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import NamedTuple

from vitctl.errors import DeniedError, OutOfReachError
from vitctl.places.address import Address

_NO_CREDENTIALS = {
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
}
_NO_CONNECTION = {
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "ConnectionError",  # Python's, botocore's, requests'
    "HTTPClientError",  # botocore
    "IncompleteRead",
    "RequestException",  # requests
    "ResponseParserError",
    "TimeoutError",
    "TransportError",  # google-auth
}
_BUSY = (408, 425, 429, *range(500, 600))
# s3fs turns these into errors of the system without a status.
_BUSY_ERRNO = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EBUSY))

_GO_ON = "what is finished is kept; run the same command again when the store answers"
_LOG_IN = {
    "s3": "log in (aws configure, aws sso login), or set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
    "gs": "log in: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
}


class Trouble(NamedTuple):
    """`passing`: asking again may help."""

    error: OutOfReachError
    passing: bool


def explained(error: Exception, path: Address) -> Trouble | None:
    """What an exception of a request for `path` means; None if it is a bug."""
    if isinstance(error, OutOfReachError):
        return Trouble(error, passing=False)
    chain = list(_causes(error))
    names = {name.__name__ for cause in chain for name in type(cause).__mro__}
    status = next((code for cause in chain if (code := _status(cause)) is not None), None)
    cause_text = _text(chain)
    bucket = f"{path.scheme}://{path.bucket}"
    if names & _NO_CREDENTIALS or (status == 401 and path.scheme == "gs"):
        sentence = f"there are no credentials for {bucket} ({cause_text})"
        return _final(DeniedError(sentence, exit_code=2, hint=_LOG_IN.get(path.scheme)))
    if isinstance(error, PermissionError) or status in (401, 403):
        sentence = f"access to {path} was denied ({cause_text})"
        hint = f"see who may read and write there: {bucket}"
        return _final(DeniedError(sentence, exit_code=2, hint=hint))
    busy = status in _BUSY or (isinstance(error, OSError) and error.errno in _BUSY_ERRNO)
    if busy:
        sentence = f"the store of {bucket} does not do its work ({cause_text})"
        return Trouble(OutOfReachError(sentence, exit_code=10, hint=_GO_ON), passing=True)
    if names & _NO_CONNECTION or any(isinstance(c, socket.gaierror) for c in chain):
        sentence = f"the store of {bucket} cannot be reached ({cause_text})"
        return Trouble(OutOfReachError(sentence, exit_code=10, hint=_GO_ON), passing=True)
    if isinstance(error, OSError | ValueError) and _is_theirs(chain):
        sentence = f"the store of {bucket} refused a request for {path} ({cause_text})"
        return _final(OutOfReachError(sentence, exit_code=2))
    return None


def _final(error: OutOfReachError) -> Trouble:
    return Trouble(error, passing=False)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, wherever its package keeps it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status_code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:  # gcsfs, aiohttp
        status_code = getattr(error, "code", None) or getattr(error, "status", None)
    if isinstance(status_code, str) and status_code.isdigit():
        return int(status_code)
    if status_code is None and str(error).startswith("Forbidden: "):  # gcsfs
        return 403
    return status_code if isinstance(status_code, int) else None


def _is_theirs(chain: list[BaseException]) -> bool:
    """Whether a store answered at all, so that an error is not a bug of ours."""
    return any(
        _status(cause) is not None or str(cause).startswith("Bad Request: ") for cause in chain
    )


def _text(chain: list[BaseException]) -> str:
    """What the error says of itself, in one line."""
    said = next((text for cause in chain if (text := " ".join(str(cause).split()))), "")
    text = said or type(chain[0]).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
