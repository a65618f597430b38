"""Which store the module-level names act on, and which run is the current one."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lineagelog.domain.errors import StoreNotFoundError

if TYPE_CHECKING:
    from lineagelog.registries.run import Run
    from lineagelog.store import Store

INHERITED_RUN: Final = "LINEAGELOG_RUN"
"""Environment variable that tells programs started in a run which run that is: `STORE_ID:RUN_ID:ADDRESS_OF_THE_STORE`."""

_lock = threading.RLock()
_store: Store | None = None
_process_run: Run | None = None
_inherited_before: str | None = None
_inherited: dict[str, Run | None] = {}
_told_stores: dict[str, Store] = {}
_context_run: ContextVar[Run | None] = ContextVar("lineagelog_run", default=None)


def current_store() -> Store:
    """Return the current store.

    The one connected in this process, else that of `LINEAGELOG_STORE`, else that of the run in which another process has
    started this one, else the nearest upward.

    Raises:
        StoreNotFoundError: There is none.
    """
    from lineagelog import location
    from lineagelog.store import Store

    global _store
    with _lock:
        if _store is not None and not _store.closed:
            return _store
        inherited = os.environ.get(INHERITED_RUN, "").split(":", 2)
        named = os.environ.get("LINEAGELOG_STORE") or (inherited[2] if len(inherited) == 3 else None)
        folder: str | Path | None = location.address_of(named) if named else location.discover()
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
    """Return the run in which things happen now.

    That of the store's innermost context, else the one `track()` started in this process, else the one in which another process
    has started this one.
    """
    run = _context_run.get()
    # A store may be open twice in one process; a run belongs to what is stored, not to one of the two objects.
    while run is not None and run.store.id != store.id:
        # The context of a run in another store hides none of this one.
        run = run._outer
    if run is None:
        run = _process_run
    return run if run is not None and run.store.id == store.id else _inherited_run(store)


def process_run() -> Run | None:
    """Return the run that `track()` started in this process."""
    return _process_run


def set_process_run(run: Run | None) -> None:
    """Set the run that holds for the whole process, all threads and the programs it starts included."""
    global _process_run, _inherited_before
    if _process_run is None:
        _inherited_before = os.environ.get(INHERITED_RUN)
    _process_run = run
    inherited = told(run) if run is not None else _inherited_before
    if inherited is None:
        os.environ.pop(INHERITED_RUN, None)
    else:
        os.environ[INHERITED_RUN] = inherited


def told(run: Run) -> str:
    """Write a run as programs that it starts are told of it."""
    return f"{run.store.id}:{run.id}:{run.store.address}"


def run_told(text: str) -> Run:
    """Find the run that another process has told of, and make its store the current one if there is none yet.

    Raises:
        RecordNotFoundError: The store does not know it.
    """
    from lineagelog.domain.errors import RecordNotFoundError
    from lineagelog.projections import schema
    from lineagelog.projections.rows import find_one
    from lineagelog.store import Store

    global _store
    store_id, run_id, address = text.split(":", 2)
    with _lock:
        store = next((each for each in (_store, _told_stores.get(store_id)) if _is_open(each, store_id)), None)
        if store is None:
            store = _told_stores[store_id] = Store.open(address)
        if _store is None or _store.closed:
            _store = store
    row = find_one(store.log.database, schema.RUNS, id=run_id)
    if row is None:
        raise RecordNotFoundError("Run", f"the id {run_id}", f"it is not in {store.name}")
    return store.Run._from_row(store, row)


def _is_open(store: Store | None, store_id: str) -> bool:
    return store is not None and store.id == store_id and not store.closed


def _inherited_run(store: Store) -> Run | None:
    """Find the run in which this process was started, if that had not ended by the time it was first asked for."""
    name = os.environ.get(INHERITED_RUN)
    if name is None or _process_run is not None or not name.startswith(f"{store.id}:"):
        return None
    if name not in _inherited:
        from lineagelog.projections import schema
        from lineagelog.projections.rows import find_one

        row = find_one(store.log.database, schema.RUNS, id=name.split(":", 2)[1], status="started")
        _inherited[name] = store.Run._from_row(store, row) if row is not None else None
    run = _inherited[name]
    return run if run is not None and not run.store.closed else None


def context_run() -> ContextVar[Run | None]:
    """Give access to the run of the innermost context."""
    return _context_run
