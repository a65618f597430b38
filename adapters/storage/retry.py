"""Trying again where a server was busy or a connection broke: a few times, each time after a longer wait."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from lineagelog.domain.errors import LineageLogError

ATTEMPTS: Final = 4
_FIRST_WAIT_S: Final = 0.1

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0
"""So long a server may be silent in one attempt; how long a whole transfer takes is not limited."""

R = TypeVar("R")


def again(call: Callable[[], R], passing: Callable[[BaseException], bool] | None = None) -> R:
    """Make a call that can be repeated without harm, and repeat it while its failure looks like a passing one.

    The waits double from 0.1 s, each shortened by chance so that many clients do not come back together.

    Args:
        call: Reads, or writes in a way that doing it twice is doing it once.
        passing: Tells which errors may be gone in a moment; `is_passing` by default.
    """
    passing = passing or is_passing
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except Exception as exc:  # each library has errors of its own
            if attempt == ATTEMPTS - 1 or not passing(exc):
                raise
        time.sleep(_FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - no secret is made of it
    raise AssertionError("unreachable")


def is_passing(exc: BaseException) -> bool:
    """Tell whether an error may be gone in a moment: a time-out, a broken connection, a busy server."""
    if isinstance(exc, LineageLogError | FileNotFoundError | FileExistsError | PermissionError):
        return False
    response = getattr(exc, "response", None)
    if isinstance(response, dict):
        # botocore's ClientError: the server has answered.
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _PASSING_STATUS
    if getattr(exc, "status", None) is not None:
        # aiohttp's ClientResponseError.
        return exc.status in _PASSING_STATUS  # type: ignore[attr-defined]
    if isinstance(exc, TimeoutError | ConnectionError):
        return True
    return any(kind.__name__ in _PASSING for kind in type(exc).__mro__)


_PASSING_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
_PASSING: Final = frozenset(
    {
        # botocore
        "HTTPClientError", "ReadTimeoutError", "IncompleteReadError", "ResponseStreamingError",
        # urllib3
        "ProtocolError", "IncompleteRead", "TimeoutError",
        # aiohttp
        "ClientConnectionError", "ClientPayloadError",
        # fsspec
        "FSTimeoutError",
    }
)  # fmt: skip
