"""A provenance store for data work: every action is an immutable event, exported as W3C PROV.

Importing this package does nothing but define names; each loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from lineagelog.domain.version import VERSION

if TYPE_CHECKING:
    from lineagelog import setup as setup
    from lineagelog.api import as_of as as_of
    from lineagelog.api import close as close
    from lineagelog.api import connect as connect
    from lineagelog.api import current_run as current_run
    from lineagelog.api import current_store as current_store
    from lineagelog.api import delete as delete
    from lineagelog.api import init as init
    from lineagelog.api import list_stores as list_stores
    from lineagelog.api import login as login
    from lineagelog.api import logout as logout
    from lineagelog.api import open as open  # noqa: A004 - `ln.open(…)` opens a store
    from lineagelog.api import save as save
    from lineagelog.api import view as view
    from lineagelog.content.folder_tree import view_tree as view_tree
    from lineagelog.domain import errors as errors
    from lineagelog.preferences import settings as settings
    from lineagelog.projections.query import Q as Q
    from lineagelog.registries.artifact import Artifact as Artifact
    from lineagelog.registries.artifact import File as File
    from lineagelog.registries.collection import Collection as Collection
    from lineagelog.registries.entity import Record as Record
    from lineagelog.registries.feature import Feature as Feature
    from lineagelog.registries.label import ULabel as ULabel
    from lineagelog.registries.project import Project as Project
    from lineagelog.registries.run import Run as Run
    from lineagelog.registries.storage import Storage as Storage
    from lineagelog.registries.transform import Transform as Transform
    from lineagelog.registries.user import User as User
    from lineagelog.store import Store as Store
    from lineagelog.tracking.calls import tracked as tracked
    from lineagelog.tracking.script import finish as finish
    from lineagelog.tracking.script import track as track
    from lineagelog.validation import validate_prov as validate_prov

__version__: Final = VERSION

_HOMES: Final = {
    "Artifact": "registries.artifact",
    "Collection": "registries.collection",
    "Feature": "registries.feature",
    "File": "registries.artifact",
    "Project": "registries.project",
    "Q": "projections.query",
    "Record": "registries.entity",
    "Run": "registries.run",
    "Storage": "registries.storage",
    "Store": "store",
    "Transform": "registries.transform",
    "ULabel": "registries.label",
    "User": "registries.user",
    "as_of": "api",
    "close": "api",
    "connect": "api",
    "current_run": "api",
    "current_store": "api",
    "delete": "api",
    "errors": "domain.errors:",
    "finish": "tracking.script",
    "init": "api",
    "list_stores": "api",
    "login": "api",
    "logout": "api",
    "open": "api",
    "save": "api",
    "settings": "preferences",
    "setup": "setup:",
    "track": "tracking.script",
    "tracked": "tracking.calls",
    "validate_prov": "validation",
    "view": "api",
    "view_tree": "content.folder_tree",
}
"""Public name to module, and to the name there where it differs; a module itself ends in a colon.

No public name is that of a module here: importing a module makes it an attribute of the package, in place of the name.
"""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module_name, colon, attribute = home.partition(":")
    try:
        module = import_module(f"{__name__}.{module_name}")
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] == __name__:
            raise
        from lineagelog.domain.errors import MissingPackageError

        raise MissingPackageError(exc.name) from exc
    value = module if colon and not attribute else getattr(module, attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
