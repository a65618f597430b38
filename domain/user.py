"""Events about people: who is registered, who logged in and out, and which log-ins failed."""

from __future__ import annotations

import re

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.values import check_name

ANONYMOUS_HANDLE = "anonymous"
_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@recorded_as("user.registered.1")
class UserRegistered(Event, frozen=True):
    """A user became known to the store.

    Attributes:
        uid: Short name.
        handle: Name to log in with, unique in the store.
        name: Name as people write it.
        email: Address.
    """

    uid: str
    handle: str
    name: str | None = None
    email: str | None = None


@recorded_as("user.updated.1")
class UserUpdated(Event, frozen=True):
    """Details of a user changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("user.logged_in.1")
class UserLoggedIn(Event, frozen=True):
    """A user logged in.

    Attributes:
        session: Id of the session that began.
    """

    session: str


@recorded_as("user.logged_out.1")
class UserLoggedOut(Event, frozen=True):
    """A user logged out.

    Attributes:
        session: Id of the session that ended.
    """

    session: str


@recorded_as("login.failed.1")
class LoginFailed(Event, frozen=True):
    """Somebody tried to log in and could not. It is recorded in the store's own stream.

    Attributes:
        handle: The handle that was tried.
        why: Why it was refused.
    """

    handle: str
    why: str


def check_handle(value: object) -> str:
    """Accept a handle: letters, digits, `.`, `_` and `-`, at most 63, the first a letter or digit.

    Raises:
        InvalidValueError: Anything else.
    """
    text = check_name(value, "the user handle")
    if not _HANDLE.fullmatch(text):
        raise InvalidValueError(
            "the user handle",
            f"{text!r} may hold only letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
        )
    return text
