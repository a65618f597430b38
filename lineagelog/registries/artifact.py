"""The registry of artifacts: data sets, models and other results, as files or folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Any, Literal

from lineagelog import current, location
from lineagelog.content import locating
from lineagelog.content.loading import MadeFromObjects, load, open_content, take_object
from lineagelog.content.locating import RemoteObject
from lineagelog.domain.artifact import LIVE, ArtifactUpdated, check_key, check_kind
from lineagelog.domain.errors import InvalidValueError, ObjectMissingError, UnsupportedFormatError
from lineagelog.domain.ids import ARTIFACT_STEM_LENGTH
from lineagelog.domain.redaction import redact_url
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections.registry import ARTIFACT
from lineagelog.registries.origin import Origin, remember

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from lineagelog.adapters.formats import Format
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.registries.run import Run
    from lineagelog.registries.storage import Storage
    from lineagelog.registries.transform import Transform


class Artifact(MadeFromObjects):
    """One version of a data set, model or other result.

    Attributes:
        key: Name within the store, a relative path such as `raw/iris.csv`.
        description: Free text.
        suffix: File name extension.
        kind: `dataset`, `model`, `plot` or `report`.
        otype: Type of the object in memory, such as `DataFrame`.
        size: Bytes.
        hash: SHA-256 of the content, or of a folder's listing.
        hash_type: `sha256` or `sha256-folder`; `etag` for a remote object whose bytes were not read.
        n_files: Files of a folder.
        n_observations: Rows of a table, observations of an annotated matrix, length of an array.
        n_variables: Columns of a table, variables of an annotated matrix.
        table_schema: Column name to Arrow type, of the first 1,000 columns; of an annotated matrix, columns of `obs` and `var`.
        version: Version tag given by the user.
        version_number: Place in the family, from 0.
        is_latest: The newest version of the family that is neither in the trash nor deleted.
        state: `live`, `trashed` or `deleted`.
        content_status: What the last check of its content found, `intact`, `missing` or `changed`; `None` before a check found
            something, or `verify()` was called.
        verified_at: When that was.
    """

    registry = ARTIFACT
    _updated = ArtifactUpdated

    key: str | None
    description: str | None
    suffix: str
    kind: str | None
    otype: str | None
    size: int
    hash: str
    hash_type: str
    n_files: int | None
    n_observations: int | None
    n_variables: int | None
    table_schema: dict[str, str] | None
    version: str | None
    version_number: int
    is_latest: bool
    state: str
    key_is_virtual: bool
    storage_id: str
    storage_path: str
    run_id: str | None
    transform_id: str | None
    content_status: str | None
    verified_at: Any
    updated_at: Any

    def __init__(
        self,
        data: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        kind: str | None = None,
        version: str | None = None,
        revises: Artifact | None = None,
        run: Run | Literal[False] | None = None,
        skip_hash_lookup: bool = False,
        checksum: Literal["content", "server"] = "content",
    ) -> None:
        """Describe an artifact; `save()` stores its content and registers it.

        Args:
            data: Path or URL of a file or folder, or an object in memory: a DataFrame, an Arrow table, an annotated matrix, an
                array, or a dict or list of plain values. A path under a registered storage location, and what lies behind a
                URL, is registered where it is; any other content is copied into the default location.
            key: Name within the store; new content under a key that exists is the next version of its family. The path
                relative to the storage root by default, none for content that is copied.
            description: Free text.
            kind: `dataset`, `model`, `plot` or `report`.
            version: Version tag.
            revises: A version of the family that this one continues, whatever its key.
            run: Run that made it; the current run by default, `False` for none.
            skip_hash_lookup: Register a new version even if the content is known already.
            checksum: `content` reads all bytes; `server` takes the word of the remote location for an object that is too large
                for that: its SHA-256 if there is one, else its ETag (`hash_type` is then `etag`).

        Raises:
            ObjectMissingError: The path does not exist.
            InvalidValueError: A key, kind or text is not acceptable, or the URL holds a signature or credential.
        """
        self._begin()
        self.key = check_key(key) if key is not None else None
        self.description = check_text(description, "the description") if description is not None else None
        self.kind = check_kind(kind) if kind is not None else None
        self.version = check_name(version, "the version") if version is not None else None
        self._skip_hash_lookup = skip_hash_lookup
        self._run = run
        self._source: Path | None = None
        self._object: tuple[Any, Format] | None = None
        self._place: tuple[str, str] | None = None
        self._remote: RemoteObject | None = None
        self._checksum = checksum
        self._revises = revises
        self._replaces: Artifact | None = None
        self._reason: str | None = None
        if revises is not None:
            revises._need_saved("revises")
            self._need_same_store(revises, "the revised artifact")
            self.key = self.key or revises.key
        if checksum not in ("content", "server"):
            raise InvalidValueError("checksum", f"is {checksum!r}; it must be 'content' or 'server'")
        if isinstance(data, str | os.PathLike):
            self._take_path(os.fspath(data))
        elif isinstance(data, RemoteObject):
            self._take_remote(data)
        else:
            take_object(self, data)
        if checksum == "server" and (self._remote is None or self._remote.found.is_folder):
            raise InvalidValueError(
                "checksum", "can be 'server' for a single object behind a URL only; leave it out for other content"
            )

    @classmethod
    def from_dir(
        cls, path: str | os.PathLike[str], *, key: str | None = None, run: Run | None = None
    ) -> list[Artifact]:
        """Describe one artifact for each file of a folder; `ln.save(…)` saves them together.

        No file is left out: where one cannot become an artifact, the whole folder is refused.

        Args:
            path: The folder, or the URL of one; files behind a URL are registered where they are.
            key: Prefix of the keys; the folder's own place in a registered storage, else its name, by default.
            run: Run that made them; the current run by default.

        Raises:
            ObjectMissingError: The folder does not exist.
            StorageError: A folder in it cannot be read.
            UnsupportedFormatError: It holds a symbolic link or a special file, as in a folder that is one artifact.
        """
        from lineagelog.adapters.storage.hashing import list_folder

        text = os.fspath(path)
        if locating.is_url(text):
            return cls._from_remote_dir(text, key, run)
        folder = Path(path)
        if not folder.is_dir():
            raise ObjectMissingError(f"there is no folder {folder}; pass the path of an existing one")
        store = cls._store_of_class()
        in_place = key is None and store.find_storage(str(folder / "any")) is not None
        prefix = check_key(key if key is not None else folder.resolve().name)
        return [
            cls(folder / member.path, key=None if in_place else f"{prefix}/{member.path}", run=run)
            for member in list_folder(folder, skip=location.FOLDER)
        ]

    @classmethod
    def _from_remote_dir(cls, url: str, key: str | None, run: Run | None) -> list[Artifact]:
        members = locating.find_all(cls._store_of_class(), url)
        if not members:
            raise ObjectMissingError(f"there is no folder {redact_url(url)}; pass the address of an existing one")
        root = locating.locate(cls._store_of_class(), url).path
        prefix = check_key(key) if key is not None else None
        return [
            cls(
                member,
                key=f"{prefix}/{member.address.path.removeprefix(f'{root}/')}" if prefix is not None else None,
                run=run,
            )
            for member in members
            if location.FOLDER not in member.address.path.removeprefix(root).split("/")
        ]

    def _take_path(self, text: str) -> None:
        from lineagelog.adapters.formats import suffix_of

        store = self.store
        if locating.is_url(text):
            remote = locating.find(store, text)
            if remote is None:
                raise ObjectMissingError(f"there is nothing at {redact_url(text)}; check the address")
            self._take_remote(remote)
            return
        path = Path(text.removeprefix("file://")).expanduser()
        try:
            status = path.stat()
        except (OSError, ValueError) as exc:
            raise ObjectMissingError(
                f"there is no file or folder {path}: {getattr(exc, 'strerror', None) or exc}; check the path"
            ) from exc
        self._source = path
        self.suffix = suffix_of(path.name) if not S_ISDIR(status.st_mode) or path.suffix == ".zarr" else ""
        self.size = status.st_size
        place = store.find_storage(str(path))
        if place is not None:
            _check_not_own(str(path), place[1])
            self._place = place
            self.key = self.key or check_key(place[1])

    def _take_remote(self, remote: RemoteObject) -> None:
        from lineagelog.adapters.formats import suffix_of

        name = remote.address.name
        if location.FOLDER in name.split("/"):
            raise InvalidValueError(
                "the artifact path", f"{name} lies inside a store's own folder; pass the object you made it from"
            )
        self._remote = remote
        self.suffix = suffix_of(name) if not remote.found.is_folder or name.endswith(".zarr") else ""
        self.key = self.key or check_key(name)
        self.size = remote.found.size_bytes

    def _save_new(self) -> None:
        from lineagelog.content.saving import save_artifacts

        save_artifacts(self.store, [self])

    def _check_field(self, name: str, value: Any) -> Any:
        if name == "kind" and value is not None:
            return check_kind(value)
        return super()._check_field(name, value)

    @property
    def path(self) -> Path | UPath:
        """Where the content lies: a local path, or a path of `universal_pathlib`."""
        if not self._saved:
            if self._remote is not None:
                address = self._remote.address
                return locating.path_of(locating.backend(self.store, address), address.path)
            if self._source is None:
                raise UnsupportedFormatError(
                    "an unsaved artifact of an object in memory has no path; call save() first"
                )
            return self._source
        backend = self.store.storage_backend(self.storage_id)
        return locating.path_of(backend, self.storage_path)

    def cache(self, *, is_run_input: bool | None = None) -> Path:
        """Return a local path of the content, after checking it against the recorded hash.

        Args:
            is_run_input: Record it as an input of the current run, or not; `settings.track_run_inputs` by default.

        Raises:
            ArtifactDeletedError: It was deleted for good.
            DigestMismatchError: The stored content is not what was registered.
            ObjectMissingError: The content is gone.
        """
        path = self._local_copy()
        self._track_access("cache", is_run_input)
        return path

    def stage(self, *, is_run_input: bool | None = None) -> Path:
        """Older name of `cache`."""
        return self.cache(is_run_input=is_run_input)

    def load(self, *, is_run_input: bool | None = None, trust: bool = False, **options: Any) -> Any:
        """Load the content into memory, after checking it against the recorded hash.

        Args:
            is_run_input: Record it as an input of the current run, or not; `settings.track_run_inputs` by default.
            trust: Allow formats that can run code when they are loaded, such as pickle. That it was allowed is recorded.
            options: Passed on to the reader of a table, such as `sep=";"` or `decimal=","` for CSV.

        Returns:
            By suffix: a DataFrame (CSV, TSV, Parquet, Feather), an annotated matrix (h5ad, h5mu, Zarr), an array, plain
            values (JSON, YAML), text, an image.

        Raises:
            ArtifactDeletedError: It was deleted for good.
            DigestMismatchError: The stored content is not what was registered.
            UnsupportedFormatError: The suffix has no loader (use `cache()` or `open()`), or the content cannot be loaded.
        """
        content = load(self, trust=trust, options=options)
        self._track_access("load", is_run_input, content)
        return content

    def open(self, mode: str | None = None, *, is_run_input: bool | None = None) -> Any:
        """Open the stored content for reading part by part, local or remote, without checking its hash.

        Args:
            mode: `rb` for the bytes of the file, whatever its format.
            is_run_input: Record it as an input of the current run, or not; `settings.track_run_inputs` by default.

        Returns:
            By suffix: an Arrow dataset (Parquet, Feather, CSV, TSV), an AnnData or MuData whose matrix stays in the file,
            a Zarr group or array; a file to read bytes from otherwise.

        Raises:
            ArtifactDeletedError: It was deleted for good.
            ObjectMissingError: The content is gone, or is a folder.
            UnsupportedFormatError: The content is not what its suffix says, or leads to other files.
        """
        from lineagelog.content.disposal import check_usable

        self._need_saved("open")
        check_usable(self)
        opened = open_content(self, mode)
        self._track_access("open", is_run_input, opened)
        return opened

    def backed(self, mode: str | None = None, *, is_run_input: bool | None = None) -> Any:
        """Older name of `open`."""
        return self.open(mode, is_run_input=is_run_input)

    def _local_copy(self) -> Path:
        from lineagelog.content.caching import local_copy
        from lineagelog.content.disposal import check_usable

        self._need_saved("cache")
        check_usable(self)
        return local_copy(self)

    def verify(self) -> str:
        """Read the stored content, compare it with its recorded size and hash, and record the outcome.

        Returns:
            `intact`, `missing` or `changed`; afterwards also in `content_status`.

        Raises:
            ArtifactStateError: The artifact was deleted for good.
            StorageError: The content cannot be judged: its location cannot be reached, or it was just being written.
        """
        from lineagelog.content.fixity import verify_artifact

        self._need_saved("verify")
        return verify_artifact(self)

    def _track_access(self, how: str, is_run_input: bool | None, content: object = None) -> None:
        from lineagelog.preferences import settings

        if not (settings.track_run_inputs if is_run_input is None else is_run_input):
            return
        remember(content, (Origin(self.store.id, self.id),))
        run = current.current_run(self.store)
        # What a run made itself is its output; reading it back makes it no input.
        own_output = run is not None and (run.id == self.run_id or self.id in run._made)
        if run is not None and (is_run_input or not own_output):
            run.add_input(self, how=how)

    def delete(self, *, permanent: bool = False, storage: bool | None = None, reason: str | None = None) -> None:
        """Put the artifact into the trash, or delete it for good.

        The trash hides it from queries; `restore()` takes it out again. What is deleted for good cannot be used any more and does
        not come back. Everything recorded about it stays in both cases: its history, its place in the lineage, the runs and
        collections that hold it.

        Args:
            permanent: Delete it for good, and remove its content.
            storage: With `permanent`, whether its bytes are removed: by default those that the store has put where they are and not
                those that were registered in place, which are the user's; `True` removes these too, `False` none.
            reason: Why; kept with the event, and told to whoever tries to use it later.

        Raises:
            ArtifactStateError: It is in the trash already, or deleted.
            ConstraintError: The bytes to be removed belong to another artifact as well.
        """
        from lineagelog.content import disposal

        self._need_saved("delete")
        disposal.check_options(permanent=permanent, storage=storage)
        if permanent:
            disposal.delete_for_good(self.store, [self.id], storage=storage, reason=reason)
        else:
            disposal.trash(self.store, [self.id], reason=reason)
        self.refresh()

    def restore(self, *, reason: str | None = None) -> Artifact:
        """Take the artifact out of the trash.

        Args:
            reason: Why; kept with the event.

        Raises:
            ArtifactStateError: It is not in the trash, or deleted for good.
        """
        from lineagelog.content import disposal

        self._need_saved("restore")
        disposal.restore(self.store, [self.id], reason=reason)
        return self.refresh()

    def replace(
        self,
        data: str | os.PathLike[str] | pd.DataFrame,
        *,
        run: Run | Literal[False] | None = None,
        reason: str | None = None,
        **options: Any,
    ) -> Artifact:
        """Replace the content: save other data as the next version, and put this one into the trash.

        What a uid means never changes, since runs, collections and exports have named it. So the other content is a version of its
        own, with the key, description and kind of this one, and its labels and projects, which say what it is about. Values of
        features are not taken over: they were found in the content that is replaced. All of it is one transaction.

        Args:
            data: As for `Artifact`.
            run: Run that made it; the current run by default, `False` for none.
            reason: Why; kept with the new version and with the one in the trash.
            options: Others of `Artifact`, such as `description` and `kind`.

        Returns:
            The new version.

        Raises:
            ArtifactStateError: This one is in the trash, or deleted.
            ConstraintError: A later version exists.
            InvalidValueError: The data are the same.
        """
        self._need_saved("replace")
        kept = {"key": self.key, "description": self.description, "kind": self.kind}
        following: Artifact = self.store.Artifact(data, **{**kept, **options, "revises": self, "run": run})
        following._replaces, following._reason, following._skip_hash_lookup = self, reason, True
        following.save()
        self.refresh()
        return following

    def _shown(self) -> Mapping[str, Any]:
        ended = {"state": self.state} if self._saved and self.state != LIVE else {}
        return {**super()._shown(), **ended}

    @property
    def storage(self) -> Storage:
        """Location of the content."""
        return self.store.Storage._from_id(self.storage_id)

    @property
    def run(self) -> Run | None:
        """The run that generated the artifact."""
        return self.store.Run._from_id(self.run_id) if self.run_id is not None else None

    @property
    def transform(self) -> Transform | None:
        """The transform version of the run that generated the artifact."""
        return self.store.Transform._from_id(self.transform_id) if self.transform_id is not None else None

    @property
    def input_of_runs(self) -> QuerySet[Run]:
        """Runs that have read the artifact."""
        return self.store.Run.filter(inputs=self)

    @property
    def input_of(self) -> QuerySet[Run]:
        """Older name of `input_of_runs`."""
        return self.input_of_runs

    @property
    def output_of_runs(self) -> QuerySet[Run]:
        """Runs that have saved the artifact: the one that generated it, and those that saved equal content again."""
        return self.store.Run.filter(outputs=self)

    @property
    def versions(self) -> QuerySet[Artifact]:
        """All versions of the family, this one included."""
        return self.store.Artifact._whole().filter(stem=self.uid[:ARTIFACT_STEM_LENGTH])

    def view_tree(self, *, max_depth: int = 6, max_files: int = 50) -> None:
        """Print what lies in a folder artifact, here or remote, without reading its files.

        Args:
            max_depth: Folders deeper than this are counted, not named.
            max_files: So many files of each folder are named.

        Raises:
            ArtifactDeletedError: It was deleted for good.
            ObjectMissingError: The content is gone.
            UnsupportedFormatError: The artifact is one file.
        """
        from lineagelog.content.disposal import check_usable
        from lineagelog.content.folder_tree import read_tree, show_tree

        self._need_saved("view_tree")
        check_usable(self)
        backend = self.store.storage_backend(self.storage_id)
        show_tree(read_tree(backend, self.storage_path, max_depth=max_depth, max_files=max_files))


def _check_not_own(path: str, relative: str) -> None:
    """Refuse a path inside the folder where stores keep what they put into a storage location.

    Raises:
        InvalidValueError: It is one.
    """
    if location.FOLDER in relative.split("/"):
        raise InvalidValueError(
            "the artifact path", f"{path} lies inside the store's own folder; pass the file you made it from"
        )


File = Artifact
"""Older name of `Artifact`."""
