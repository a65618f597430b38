"""Who acts on a store in this process, and how that is known."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from lineagelog import location, message
from lineagelog.domain import clock
from lineagelog.domain.clock import Clock
from lineagelog.domain.errors import ConstraintError, InvalidValueError, UserNotFoundError
from lineagelog.domain.event import Change
from lineagelog.domain.ids import SHORT_UID_LENGTH, Id, new_id, new_uid
from lineagelog.domain.user import (
    ANONYMOUS_HANDLE,
    LoginFailed,
    UserLoggedIn,
    UserLoggedOut,
    UserRegistered,
    UserUpdated,
    check_handle,
)
from lineagelog.domain.values import check_name
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict, find_one

if TYPE_CHECKING:
    from lineagelog.store import Store


class Session:
    """The log-in of this process to a store.

    The actor is looked up whenever an event is made, so a change of user holds at once. Without a log-in it is the user of
    `LINEAGELOG_USER` or of the last `prov login`, and else the anonymous user.

    Attributes:
        id: Id of the log-in session: the one that began in this process, or that of a kept log-in; `None` without one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._actor: Id | None = None
        self._auth = "anonymous"
        self._logged_out = False
        self._is_own = False
        self.id: Id | None = None

    @property
    def actor(self) -> Id:
        """Id of the user who acts now.

        Raises:
            UserNotFoundError: `LINEAGELOG_USER` or a kept log-in names a user the store does not know.
        """
        if self._actor is None:
            kept = None if self._logged_out else location.kept_login(self._store.id)
            handle = kept.handle if kept is not None else None
            row = self._user(handle or ANONYMOUS_HANDLE)
            if row is None:
                raise UserNotFoundError("User", f"handle {handle!r}", _whence(str(handle)))
            self._actor = Id(row["id"])
            self._auth = "declared" if handle and handle != ANONYMOUS_HANDLE else "anonymous"
            self.id = Id(kept.session) if kept is not None and kept.session is not None else None
        return self._actor

    @property
    def context(self) -> str:
        """The encoded context of events made now."""
        _ = self.actor
        return self.encoded_context(self._auth, self.id)

    @staticmethod
    def encoded_context(auth: str, session: str | None) -> str:
        """Encode where events come from: authentication, session, host, operating system user, software."""
        return _encoded_context(auth, session, os.getpid(), clock.current_clock())

    def login(self, handle: str, *, name: str | None, email: str | None, keep: bool = False) -> None:
        """Begin a session of a user; see `Store.login`.

        The session that began in this process before ends. One that was kept for all processes ends when another is kept.
        """
        own, kept = self.id if self._is_own else None, location.kept_session(self._store.id)
        self._begin(handle, name=name, email=email)
        if keep:
            why = location.keep_login(self._store.id, location.Login(handle, self.id))
            if why is not None:
                message.warn(
                    f"the log-in of {handle} is on record but cannot be kept for later processes ({why}); set "
                    f"LINEAGELOG_USER={handle} for them"
                )
        for session in (own, kept):
            if session is not None and (keep or session != kept):
                self._end(session)

    def _begin(self, handle: str, *, name: str | None, email: str | None) -> None:
        store = self._store
        handle = check_handle(handle)
        name = check_name(name, "the user's name") if name is not None else None
        email = check_name(email, "the user's email") if email is not None else None
        if handle == ANONYMOUS_HANDLE:
            raise InvalidValueError("the user handle", "'anonymous' cannot log in; call logout() to act anonymously")
        row = self._user(handle)
        if row is None and name is None and email is None:
            failed = LoginFailed(handle=handle, why="unknown user")
            store.append_next(schema.STORES, store.id, lambda _: failed)
            raise UserNotFoundError(
                "User",
                f"handle {handle!r}",
                f"to register it: login({handle!r}, name='…'), or `prov login {handle} --name …`",
            )
        if row is None:
            from lineagelog.registries.definition import hint_similar

            hint_similar(store, "User", "handle", handle)
        session = new_id()
        before = (self._actor, self._auth, self.id, self._logged_out, self._is_own)
        # From here on the events are this user's own.
        user_id = Id(row["id"]) if row else new_id()
        self._actor, self._auth, self.id, self._logged_out, self._is_own = user_id, "declared", session, False, True
        try:
            if row is None:
                registered = UserRegistered(uid=new_uid(SHORT_UID_LENGTH), handle=handle, name=name, email=email)
                logged_in = UserLoggedIn(session=session)
                store.append([store.new_event(registered, user_id), store.new_event(logged_in, user_id, 2)])
            else:
                changes = {
                    field: Change(old=row[field], new=value)
                    for field, value in (("name", name), ("email", email))
                    if value is not None and value != row[field]
                }
                if changes:
                    store.append_next(schema.USERS, user_id, lambda _: UserUpdated(changes=changes))
                store.append_next(schema.USERS, user_id, lambda _: UserLoggedIn(session=session))
        except BaseException as exc:
            self._actor, self._auth, self.id, self._logged_out, self._is_own = before
            if row is not None or not isinstance(exc, ConstraintError) or self._user(handle) is None:
                raise
            # Another process has just registered the same handle.
            self._begin(handle, name=name, email=email)

    def _end(self, session: str) -> None:
        """Record that a session has ended, as an event of its user; one that has ended already does not end again."""
        row = find_one(self._store.log.database, schema.SESSIONS, id=session)
        if row is None or row["ended_at"] is not None:
            return
        now = self._actor, self._auth, self.id
        self._actor, self._auth, self.id = Id(row["user_id"]), "declared", Id(session)
        try:
            ended = UserLoggedOut(session=session)
            self._store.append_next(schema.USERS, row["user_id"], lambda _: ended)
        finally:
            self._actor, self._auth, self.id = now

    def logout(self, *, kept: bool) -> None:
        """End the session.

        Args:
            kept: Also end a session that was kept for all processes; otherwise only this one leaves it.
        """
        try:
            _ = self.actor
        except UserNotFoundError:
            # Whoever is logged in as nobody the store knows must still be able to log out.
            self.id = None
        if self.id is not None and (self._is_own or kept):
            self._end(self.id)
        self._actor, self.id, self._logged_out, self._is_own = None, None, True, False

    def _user(self, handle: str) -> RowDict | None:
        return find_one(self._store.log.database, schema.USERS, handle=handle)


def _whence(handle: str) -> str:
    """Say where the handle of a user comes from whom the store does not know, and what to do."""
    if os.environ.get("LINEAGELOG_USER"):
        return f"LINEAGELOG_USER names it; unset it, or register the user with `prov login {handle} --name NAME`"
    return (
        "the last `prov login` of this account was by that name, perhaps in another copy of this store; log in anew: "
        f"`prov login HANDLE`, with `--name NAME` for a new user, or `prov login {handle} --name NAME`"
    )


@lru_cache(maxsize=64)
def _encoded_context(auth: str, session: str | None, _pid: int, _clock: Clock) -> str:
    from lineagelog.adapters.environment import context

    return msgspec.json.encode(context(auth, session)).decode()
