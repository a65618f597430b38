"""Where the content of an artifact can be read on this machine: where it is stored, or a copy in the local cache."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lineagelog import message
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import StorageError
from lineagelog.preferences import settings
from lineagelog.progress import byte_progress
from lineagelog.projections import schema
from lineagelog.projections.rows import find_in

if TYPE_CHECKING:
    from lineagelog.adapters.cache import ContentCache
    from lineagelog.projections.rows import RowDict
    from lineagelog.registries.artifact import Artifact
    from lineagelog.store import Store


def local_copy(artifact: Artifact) -> Path:
    """Return a local path of the content of a saved artifact, which is right.

    Raises:
        DigestMismatchError: The stored content is not what was registered.
        ObjectMissingError: The content is gone.
        StorageError: The cache cannot take it.
    """
    from lineagelog.adapters.cache import Content
    from lineagelog.adapters.storage import verify

    backend = artifact.store.storage_backend(artifact.storage_id)
    content = Content(artifact.hash, artifact.hash_type, artifact.size, artifact.suffix)
    name = artifact.key or artifact.uid
    place = backend.local_path(artifact.storage_path)
    if place is None:
        with byte_progress(f"downloading {name}", artifact.size) as progress:
            copy = content_cache().get(content, backend, artifact.storage_path, progress)
        if copy.was_altered:
            message.warn(f"the cached copy of {name} had been altered; it was thrown away and fetched again")
        return copy.path

    def check() -> None:
        with byte_progress(f"checking {name}", artifact.size) as progress:
            verify(backend, artifact.storage_path, artifact.hash, artifact.hash_type, progress)

    content_cache().check_in_place(content, place, check)
    return place


def discard_copies(store: Store, rows: Iterable[RowDict]) -> None:
    """Remove the local copies of deleted artifacts, and say so; a copy serves every artifact of the same content, and stays for
    those that are not deleted.

    Copies are those of this operating system user, who may have made some of the same content for another store. Whoever needs
    one again fetches it again.
    """
    from lineagelog.adapters.cache import Content
    from lineagelog.adapters.storage.base import SHA256, SHA256_FOLDER

    contents = {
        row["hash"]: Content(row["hash"], row["hash_type"], row["size"], row["suffix"])
        for row in rows
        if row["hash_type"] in (SHA256, SHA256_FOLDER)
    }
    if not contents or not (settings.cache_dir / "content").is_dir():
        return
    for row in find_in(store.log.database, schema.ARTIFACTS, "hash", contents):
        if row["state"] != DELETED:
            contents.pop(row["hash"], None)
    n_discarded = n_in_use = 0
    for content in contents.values():
        try:
            is_gone = content_cache().discard(content)
        except StorageError as exc:
            message.warn(f"a local copy of deleted content could not be removed: {exc}")
            return
        n_discarded += bool(is_gone)
        n_in_use += is_gone is None
    if n_discarded:
        message.info(
            f"removed {n_discarded:,} local {_copies(n_discarded)} of deleted content from {settings.cache_dir}"
        )
    if n_in_use:
        message.warn(
            f"{n_in_use:,} local {_copies(n_in_use)} of deleted content in {settings.cache_dir} stay, since another process uses "
            "them; `prov cache clear` removes them later"
        )


def _copies(number: int) -> str:
    return "copy" if number == 1 else "copies"


def content_cache() -> ContentCache:
    """Open the cache that the settings name."""
    cache = _cache_in(settings.cache_dir)
    cache.limit_bytes = settings.cache_limit
    return cache


@lru_cache
def _cache_in(folder: Path) -> ContentCache:
    # One object for each folder: it knows which contents this process uses.
    from lineagelog.adapters.cache import ContentCache

    return ContentCache(folder, settings.cache_limit)
