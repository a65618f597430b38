"""Older home of `init`, `connect`, `login` and `logout`; they live in the package itself."""

from lineagelog.api import close, connect, delete, init, login, logout

__all__ = ["close", "connect", "delete", "init", "login", "logout"]
