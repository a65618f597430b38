"""What the exit code of `prov` says, and which error gives which: the one table of both."""

from __future__ import annotations

from typing import Final

from lineagelog.domain import errors

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
REFUSED: Final = 4
UNAVAILABLE: Final = 5
READ_ONLY: Final = 6
DAMAGED: Final = 7
INVALID: Final = 8
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

MEANINGS: Final = {
    DONE: "done",
    FAILED: "something else went wrong",
    USAGE: "the command line is wrong",
    NOT_FOUND: "there is no such store, record, user or file",
    REFUSED: "the request is not acceptable: a value, a name, a query, a store that exists already",
    UNAVAILABLE: "the database or storage cannot be used now",
    READ_ONLY: "the store can be read but not written",
    DAMAGED: "what is stored is not what was recorded: a check found problems",
    INVALID: "the document is not valid PROV: `prov validate` found violations",
    INTERRUPTED: "interrupted",
    PIPE_CLOSED: "whoever read the output stopped reading",
}
"""Exit code to its meaning, as `prov --help` prints it."""

_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.RecordNotFoundError, NOT_FOUND),
    (errors.StoreNotFoundError, NOT_FOUND),
    (errors.ObjectMissingError, NOT_FOUND),
    (errors.StoreReadOnlyError, READ_ONLY),
    (errors.LogCorruptError, DAMAGED),
    (errors.DigestMismatchError, DAMAGED),
    (errors.StoreExistsError, REFUSED),
    (errors.ObjectExistsError, REFUSED),
    (errors.UnsupportedFormatError, REFUSED),
    (errors.DomainError, REFUSED),
    (errors.ExportError, REFUSED),
    (errors.StorageError, UNAVAILABLE),
    (errors.ConcurrentWriteError, UNAVAILABLE),
    (FileNotFoundError, NOT_FOUND),
    (OSError, UNAVAILABLE),
    (ValueError, REFUSED),
    (KeyboardInterrupt, INTERRUPTED),
)
"""Error class to exit code; the first that fits counts, so that special classes stand before general ones."""


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
