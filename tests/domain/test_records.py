"""The rules of the smaller record kinds: users, transforms, runs."""

from __future__ import annotations

import pytest

from lineagelog.domain import run, transform, user
from lineagelog.domain.errors import InvalidValueError, RunClosedError


@pytest.mark.parametrize("handle", ["mara", "m", "M.Ara_2-x", "0day", "x" * 63])
def test_handles(handle: str) -> None:
    assert user.check_handle(handle) == handle


@pytest.mark.parametrize("handle", ["", "-a", ".a", "_a", "a b", "ä", "a/b", "x" * 64, "a\n", None])
def test_nothing_else_is_a_handle(handle: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^the user handle "):
        user.check_handle(handle)


def test_types_of_transforms_are_those_of_the_list() -> None:
    assert [transform.check_type(name) for name in transform.TRANSFORM_TYPES] == list(transform.TRANSFORM_TYPES)
    with pytest.raises(InvalidValueError, match=r"^the transform type is 'Script'; it must be one of: script, "):
        transform.check_type("Script")


def test_a_pinned_uid_names_the_family() -> None:
    assert transform.check_uid("AbCdEfGhIjKl") == transform.check_uid("AbCdEfGhIjKl0003") == "AbCdEfGhIjKl"


@pytest.mark.parametrize(
    "uid", ["", "AbCdEfGhIjK", "AbCdEfGhIjKl0", "AbCdEfGhIjK-", "AbCdEfGhIjKé", 123456789012.5, None]
)
def test_nothing_else_is_a_pinned_uid(uid: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^the transform uid is "):
        transform.check_uid(uid)


def test_a_started_run_is_open() -> None:
    run.check_open("r", run.STARTED)


@pytest.mark.parametrize("status", [run.FINISHED, run.FAILED, run.ABORTED])
def test_an_ended_run_takes_nothing_more(status: str) -> None:
    with pytest.raises(RunClosedError, match=f"run Zr3v is already {status}; start a new run"):
        run.check_open("Zr3v", status)
