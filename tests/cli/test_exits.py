"""Exit codes by class of error."""

from __future__ import annotations

import pytest

from lineagelog.cli import exits
from lineagelog.domain import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RecordNotFoundError("Run", "x"), exits.NOT_FOUND),
        (errors.UserNotFoundError("User", "x"), exits.NOT_FOUND),
        (errors.StoreNotFoundError("x"), exits.NOT_FOUND),
        (errors.ObjectMissingError("x"), exits.NOT_FOUND),
        (errors.MultipleRecordsError("Run", "x", ()), exits.REFUSED),
        (errors.InvalidValueError("x", "y"), exits.REFUSED),
        (errors.ConstraintError("x"), exits.REFUSED),
        (errors.StoreExistsError("x"), exits.REFUSED),
        (errors.QueryError("x"), exits.REFUSED),
        (errors.StoreUnavailableError("x"), exits.UNAVAILABLE),
        (errors.SchemaVersionError("x"), exits.UNAVAILABLE),
        (errors.ConcurrentWriteError("x"), exits.UNAVAILABLE),
        (errors.StoreReadOnlyError("x"), exits.READ_ONLY),
        (errors.LogCorruptError("x"), exits.DAMAGED),
        (errors.DigestMismatchError("p", "a", "b"), exits.DAMAGED),
        (errors.LineageLogError("x"), exits.FAILED),
        (FileNotFoundError("x"), exits.NOT_FOUND),
        (PermissionError("x"), exits.UNAVAILABLE),
        (KeyboardInterrupt(), exits.INTERRUPTED),
        (RuntimeError("x"), exits.FAILED),
    ],
)
def test_error_class_gives_its_exit_code(error: BaseException, code: int) -> None:
    assert exits.exit_code(error) == code
    assert code in exits.MEANINGS
