"""Settings of this process that a user may see and change, and those of the current store."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog.domain.errors import InvalidValueError, LineageLogError, StorageError, UnknownFieldError

if TYPE_CHECKING:
    from lineagelog.registries.storage import Storage
    from lineagelog.registries.user import User

CACHE_DIR: Final = "LINEAGELOG_CACHE_DIR"
CACHE_LIMIT: Final = "LINEAGELOG_CACHE_LIMIT"
"""Environment variables for all processes that are not told otherwise."""

_VERBOSITY: Final = {"silent": 0, "warning": 1, "info": 2}
_CACHE_SHARE: Final = 10
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", re.IGNORECASE)
_SWITCHES: Final = ("track_run_inputs", "keep_log", "keep_diff", "progress_bars")
_NAMES: Final = (*_SWITCHES, "verbosity", "cache_dir", "cache_limit", "storage", "user")
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class Settings:
    """What may be changed.

    Attributes:
        track_run_inputs: `cache()`, `load()` and `open()` record the artifact as an input of the current run.
        keep_log: What a tracked script prints is kept as the log of its run.
        keep_diff: Uncommitted changes of the git checkout a tracked script lies in are kept with its run.
        progress_bars: Long work shows a bar when standard error is a terminal.
        cache_dir: Folder of the local copies of remote content; `LINEAGELOG_CACHE_DIR`, else the user's cache folder.
        cache_limit: Their size, bytes, beyond which the least recently used are removed; a text such as `20 GB` is accepted;
            `LINEAGELOG_CACHE_LIMIT`, else a tenth of the disk.
        verbosity: 0 silent, 1 warnings, 2 also what was done; the names `silent`, `warning`, `info` are accepted.
        storage: Where the current store puts new artifacts; a folder, a URL or a `Storage` may be assigned, which is on record.
        user: Who acts on the current store; `ln.login` changes it.
    """

    track_run_inputs: bool
    keep_log: bool
    keep_diff: bool
    progress_bars: bool

    def __init__(self) -> None:
        self.track_run_inputs = True
        self.keep_log = True
        self.keep_diff = True
        self.progress_bars = True
        self._verbosity = 2
        self._cache_dir: Path | None = None
        self._cache_limit: int | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # A setting that is misspelt would otherwise be taken and change nothing.
        if not name.startswith("_") and name not in _NAMES:
            raise UnknownFieldError("ln.settings", name, _NAMES, "setting")
        if name in _SWITCHES and not isinstance(value, bool):
            raise InvalidValueError(f"settings.{name}", f"is {value!r}; it must be True or False")
        object.__setattr__(self, name, value)

    @property
    def verbosity(self) -> int:
        """How much is said."""
        return self._verbosity

    @verbosity.setter
    def verbosity(self, value: int | str) -> None:
        level = _VERBOSITY.get(value) if isinstance(value, str) else value
        if level is None or level not in _VERBOSITY.values():
            raise InvalidValueError("settings.verbosity", f"is {value!r}; it must be one of: {', '.join(_VERBOSITY)}")
        self._verbosity = level

    @property
    def cache_dir(self) -> Path:
        """Where local copies lie."""
        given = self._cache_dir or os.environ.get(CACHE_DIR)
        if given:
            return Path(given).expanduser().absolute()
        base = os.environ.get("XDG_CACHE_HOME")
        try:
            return (Path(base) if base else Path.home() / ".cache") / "lineagelog"
        except RuntimeError as exc:
            raise StorageError(f"this account has no home folder for local copies; name one with {CACHE_DIR}") from exc

    @cache_dir.setter
    def cache_dir(self, value: str | os.PathLike[str] | None) -> None:
        self._cache_dir = Path(value) if value is not None else None

    @property
    def cache_limit(self) -> int:
        """Size of the local copies, bytes, beyond which some are removed."""
        if self._cache_limit is not None:
            return self._cache_limit
        given = os.environ.get(CACHE_LIMIT)
        if given:
            return parse_size(given, CACHE_LIMIT)
        import shutil

        folder = self.cache_dir
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).total // _CACHE_SHARE

    @cache_limit.setter
    def cache_limit(self, value: int | str | None) -> None:
        self._cache_limit = parse_size(value, "settings.cache_limit") if value is not None else None

    @property
    def storage(self) -> Storage:
        """Where the current store puts new artifacts."""
        from lineagelog.current import current_store

        return current_store().storage

    @storage.setter
    def storage(self, value: Storage | str | os.PathLike[str]) -> None:
        from lineagelog.current import current_store
        from lineagelog.registries.storage import Storage

        location = value if isinstance(value, Storage) else current_store().Storage(value)
        if not location._saved:
            location.save()
        location.make_default()

    @property
    def user(self) -> User:
        """Who acts on the current store."""
        from lineagelog.current import current_store

        return current_store().user

    def __repr__(self) -> str:
        lines = [
            f"track_run_inputs={self.track_run_inputs}",
            f"keep_log={self.keep_log}",
            f"keep_diff={self.keep_diff}",
            f"progress_bars={self.progress_bars}",
            f"verbosity={self.verbosity}",
            f"cache_dir={str(self.cache_dir)!r}",
            f"cache_limit={self.cache_limit:,}",
        ]
        from lineagelog import current

        # To look at settings opens no store, and hides none of them if a store is in trouble.
        opened = current._store
        if opened is not None and not opened.closed:
            with suppress(LineageLogError):
                lines += [f"storage={opened.storage.root!r}", f"user={opened.user.handle!r}"]
        return f"Settings({', '.join(lines)})"


def parse_size(value: int | str, what: str) -> int:
    """Read a number of bytes, or a text such as `20 GB`.

    Raises:
        InvalidValueError: It is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidValueError(what, f"is {value!r}; it must be a number of bytes, or a text such as '20 GB'")
    return int(float(match[1]) * _UNITS[match[2].lower()])


settings: Final = Settings()
