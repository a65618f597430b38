"""The content of artifacts on its way into a store: found or written, hashed, and copied under a temporary name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lineagelog import current, location, message
from lineagelog.content import locating
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import InvalidValueError, StorageError
from lineagelog.domain.ids import Id, new_id
from lineagelog.projections import schema
from lineagelog.projections.rows import find

if TYPE_CHECKING:
    from lineagelog.adapters.formats import Contents
    from lineagelog.adapters.storage import Hashed, Staged, Storage
    from lineagelog.adapters.storage.base import Progress
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.collection import Collection
    from lineagelog.registries.run import Run
    from lineagelog.store import Store

_SMALL_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Draft:
    """An artifact on its way into the store."""

    artifact: Artifact
    id: Id
    hashed: Hashed
    storage_id: str
    path: str
    staged: Staged | None
    run: Run | None
    replaces: Artifact | None = None
    reason: str | None = None
    restores: bool = False

    @property
    def is_committed(self) -> bool:
        """Its bytes have been copied into the store and got their name."""
        return self.staged is not None and self.staged.committed


class _Content(NamedTuple):
    """What is to be read for an artifact.

    Attributes:
        artifact: The artifact.
        run: Run it belongs to.
        storage_id: Location where the content lies, or goes to.
        backend: Its files.
        path: Where the content lies there; `None` for what is copied.
        source: The local file or folder to copy; `None` for what is in place.
        is_folder: It is a folder.
        is_read_at_once: It is not handed to another thread: the files of a folder are read several at a time already, and a small
            file takes less time than that.
    """

    artifact: Artifact
    run: Run | None
    storage_id: str
    backend: Storage
    path: str | None
    source: Path | None
    is_folder: bool
    is_read_at_once: bool


def prepare(store: Store, artifacts: Sequence[Artifact], stack: ExitStack, progress: Progress | None) -> list[Draft]:
    """Read and hash the contents, several at a time; copy those that are not in place to temporary names.

    Whatever happens, no copy is left over once the stack is unwound, unless it was committed.
    """
    from lineagelog.adapters.storage.parallel import from_any_thread, in_order

    scratch, report = _Scratch(stack), from_any_thread(progress)
    copies = stack.enter_context(ExitStack())

    def read(content: _Content) -> tuple[Hashed, Staged | None]:
        backend = content.backend
        if content.source is None:
            assert content.path is not None
            vouched = _vouched(content.artifact, backend, content.path)
            return vouched or backend.hash_in_place(content.path, report), None
        stage = backend.stage_folder if content.is_folder else backend.stage_file
        staged = stage(content.source, report)
        copies.callback(staged.discard)
        return staged.hashed, staged

    results: dict[int, tuple[_Content, Hashed, Staged | None]] = {}

    def begin() -> Iterator[tuple[int, _Content]]:
        for number, artifact in enumerate(artifacts):
            content = _find_content(store, artifact, scratch)
            if content.is_read_at_once:
                results[number] = content, *read(content)
            else:
                yield number, content

    def finish(begun: tuple[int, _Content]) -> None:
        number, content = begun
        results[number] = content, *read(content)

    # On an error this is unwound before the copies are: what has begun is waited for.
    for _ in stack.enter_context(closing(in_order(finish, begin()))):
        pass
    return [_draft(store, *results[number]) for number in range(len(artifacts))]


class _Scratch:
    """A folder for what is written from memory, made when the first object needs it; one for all objects of a call."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._folder: Path | None = None
        self._n_files = 0

    def place(self, suffix: str) -> Path:
        """Return a path where nothing is."""
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lineagelog-")))
        self._n_files += 1
        return self._folder / f"{self._n_files}{suffix}"


def _find_content(store: Store, artifact: Artifact, scratch: _Scratch) -> _Content:
    """Say what is to be read for an artifact; an object in memory is written to a file."""
    from lineagelog.adapters.formats import Location, infer, write

    run = run_of(artifact)
    if artifact._remote is not None:
        artifact._place = locating.register(store, artifact._remote.address)
    if artifact._place is not None:
        storage_id, path = artifact._place
        is_folder = artifact._source.is_dir() if artifact._source is not None else _is_remote_folder(artifact)
        # Threads cost a small file on a disk more than they bring; what is remote is worth the wait of several at once.
        at_once = is_folder or (artifact._source is not None and (artifact.size or 0) < _SMALL_BYTES)
        return _Content(artifact, run, storage_id, store.storage_backend(storage_id), path, None, is_folder, at_once)
    source = artifact._source
    if source is None:
        assert artifact._object is not None
        source = scratch.place(artifact.suffix)
        obj, fmt = artifact._object
        try:
            contents = write(fmt, obj, source)
        except StorageError as exc:
            if not isinstance(exc.__cause__, OSError):
                raise
            raise _not_written(artifact, exc.__cause__) from exc
        _describe(artifact, contents)
    else:
        _describe(artifact, infer(Location.of(source), artifact.suffix))
    storage_id = store.default_storage_id
    backend, is_folder = store.storage_backend(storage_id), source.is_dir()
    _check_is_there(store, storage_id, backend)
    size = (artifact.size or 0) if artifact._source is not None else source.stat().st_size
    at_once = is_folder or size < _SMALL_BYTES
    return _Content(artifact, run, storage_id, backend, None, source, is_folder, at_once)


def _check_is_there(store: Store, storage_id: str, backend: Storage) -> None:
    """Refuse to make a folder anew that has held content, as where its disk is not mounted.

    Raises:
        StorageError: It is not there.
    """
    if backend.type != "local" or os.path.isdir(backend.root):  # noqa: PTH112 - asked for each artifact
        return
    rows = find(store.log.database, schema.ARTIFACTS, storage_id=storage_id)
    n_kept = sum(row["state"] != DELETED for row in rows)
    if n_kept:
        raise StorageError(
            f"the folder {backend.root} is not there, though the content of {n_kept:,} artifacts lies in it; nothing was saved. "
            "Mount its disk, put the folder back, or open the store where it is now"
        )


def _not_written(artifact: Artifact, cause: OSError) -> StorageError:
    """Say which object could not even be written to where it waits for the store."""
    why = os.strerror(cause.errno) if cause.errno is not None else cause
    return StorageError(
        f"{label_of([artifact])} cannot be written to the temporary folder {tempfile.gettempdir()}: {why}; free space there, or "
        "name another folder in TMPDIR"
    )


def _is_remote_folder(artifact: Artifact) -> bool:
    return artifact._remote is not None and artifact._remote.found.is_folder


def _draft(store: Store, content: _Content, hashed: Hashed, staged: Staged | None) -> Draft:
    from lineagelog.adapters.formats import Location, format_of, infer

    artifact, backend, path, record_id = content.artifact, content.backend, content.path, new_id()
    if path is None:
        path = location.object_path(store.uid, record_id, artifact.suffix)
    else:
        fmt = format_of(artifact.suffix)
        if fmt is not None and fmt.infer is not None and artifact._checksum == "content":
            local = backend.local_path(path)
            place = Location.of(local) if local is not None else Location(path, None, *backend.in_file_system(path))
            _describe(artifact, infer(place, artifact.suffix))
    return Draft(
        artifact, record_id, hashed, content.storage_id, path, staged, content.run, artifact._replaces, artifact._reason
    )


def _describe(artifact: Artifact, contents: Contents) -> None:
    artifact.n_observations, artifact.n_variables = contents.n_observations, contents.n_variables
    artifact.table_schema = dict(contents.table_schema) if contents.table_schema is not None else None


def _vouched(artifact: Artifact, backend: Storage, path: str) -> Hashed | None:
    """Take the word of the location for what it holds, if that was asked for."""
    if artifact._checksum != "server":
        return None
    hashed = backend.vouched_hash(path)
    if hashed.hash_type == "etag":
        message.info(
            f"{backend.url(path)} was not read, and its server keeps no SHA-256 of it: its ETag is recorded in place of a hash, "
            "by which a later check sees whether it is the same object, not whether its bytes are right"
        )
    return hashed


def run_of(artifact: Artifact | Collection) -> Run | None:
    """Return the run that an artifact or collection on its way into the store belongs to."""
    run = artifact._run
    if run is False:
        return None
    if run is not None:
        if run.store.id != artifact.store.id:
            raise InvalidValueError(
                "the run",
                f"belongs to the store {run.store.name}, the {artifact.registry.name} to {artifact.store.name}",
            )
        if not run._saved:
            run.save()
        return run
    active = current.current_run(artifact.store)
    if active is None:
        message.warn_once("no run is linked to what is saved; call ln.track() first and run again")
    return active


def label_of(artifacts: Sequence[Artifact]) -> str:
    """Say in a word or two what is being saved."""
    if len(artifacts) == 1:
        return artifacts[0].key or artifacts[0].suffix
    return f"{len(artifacts):,} artifacts"


def total_bytes(artifacts: Sequence[Artifact]) -> int:
    """Add up what will be read, as far as it can be told without the network."""
    total = 0
    for artifact in artifacts:
        source = artifact._source
        if source is not None and source.is_dir():
            total += sum(path.lstat().st_size for path in source.rglob("*"))
        else:
            total += artifact.size or 0
    return total
