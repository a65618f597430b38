"""Where the content of an artifact can be read on this machine: where it is stored, or a copy in the local cache."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lineagelog import message
from lineagelog.preferences import settings
from lineagelog.progress import byte_progress

if TYPE_CHECKING:
    from lineagelog.adapters.cache import ContentCache
    from lineagelog.artifact import Artifact


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
