"""Which store the module-level names act on, and which run is the current one."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from lineagelog.domain.errors import StoreNotFoundError

if TYPE_CHECKING:
    from lineagelog.run import Run
    from lineagelog.store import Store

_lock = threading.RLock()
_store: Store | None = None
_process_run: Run | None = None
_context_run: ContextVar[Run | None] = ContextVar("lineagelog_run", default=None)


def current_store() -> Store:
    """Return the store connected in this process, else that of `LINEAGELOG_STORE`, else the nearest upward.

    Raises:
        StoreNotFoundError: There is none.
    """
    from lineagelog import location
    from lineagelog.store import Store

    global _store
    with _lock:
        if _store is not None and not _store.closed:
            return _store
        address = os.environ.get("LINEAGELOG_STORE")
        folder: str | Path | None = address or location.discover(Path.cwd())
        if folder is None:
            raise StoreNotFoundError(
                f"there is no store in {Path.cwd()} or above; create one with `prov init --storage ./mydata`, or name one "
                "with ln.connect(PATH) or LINEAGELOG_STORE"
            )
        _store = Store.open(folder)
        return _store


def set_current_store(store: Store | None) -> None:
    """Make the module-level names act on a store."""
    global _store
    with _lock:
        _store = store


def current_run(store: Store) -> Run | None:
    """Return the run in which things happen now: that of the store's innermost context, else the one `track()` started."""
    run = _context_run.get()
    # A store may be open twice in one process; a run belongs to what is stored, not to one of the two objects.
    while run is not None and run.store.id != store.id:
        # The context of a run in another store hides none of this one.
        run = run._outer
    if run is None:
        run = _process_run
    return run if run is not None and run.store.id == store.id else None


def process_run() -> Run | None:
    """Return the run that `track()` started in this process."""
    return _process_run


def set_process_run(run: Run | None) -> None:
    """Set the run that holds for the whole process, all threads included."""
    global _process_run
    _process_run = run


def context_run() -> ContextVar[Run | None]:
    """Give access to the run of the innermost context."""
    return _context_run
