"""The registry of users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lineagelog.domain.ids import SHORT_UID_LENGTH, new_id, new_uid
from lineagelog.domain.user import UserRegistered, UserUpdated, check_handle
from lineagelog.domain.values import check_name
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import USER
from lineagelog.registries.definition import hint_similar
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.audit.trail import Entry


class User(BaseRecord):
    """A person or service that acts on the store.

    Attributes:
        handle: Name to log in with.
        name: Name as people write it.
        email: Address.
    """

    registry = USER
    _updated = UserUpdated

    handle: str
    name: str | None
    email: str | None
    updated_at: Any

    def __init__(self, handle: str, *, name: str | None = None, email: str | None = None) -> None:
        """Describe a user; `save()` registers it.

        Args:
            handle: Letters, digits, `.`, `_` and `-`.
            name: Name as people write it.
            email: Address.
        """
        self._begin()
        self.handle = check_handle(handle)
        self.name = check_name(name, "the user's name") if name is not None else None
        self.email = check_name(email, "the user's email") if email is not None else None

    def activity(self, **conditions: Any) -> Iterator[Entry]:
        """Read what the user did, newest first; the conditions are those of `Store.trail`."""
        self._need_saved("activity")
        return self.store.trail(who=self.handle, **conditions)

    def _save_new(self) -> None:
        hint_similar(self.store, "User", "handle", self.handle)
        fact = UserRegistered(uid=new_uid(SHORT_UID_LENGTH), handle=self.handle, name=self.name, email=self.email)
        (recorded,) = self.store.append([self.store.new_event(fact, new_id())])
        self._load(self.store, inserted_row(recorded))
