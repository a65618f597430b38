"""Older home of `init`, `connect`, `login`, `logout` and `settings`; they live in the package itself."""

from lineagelog.api import close, connect, delete, init, login, logout
from lineagelog.preferences import settings

__all__ = ["close", "connect", "delete", "init", "login", "logout", "settings"]
