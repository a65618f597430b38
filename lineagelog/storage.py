"""The registry of storage locations."""

from __future__ import annotations

import os
from typing import Any

from lineagelog.domain.ids import STORAGE_UID_LENGTH, new_id, new_uid
from lineagelog.domain.storage import StorageMadeDefault, StorageRegistered, StorageUpdated
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import STORAGE
from lineagelog.projections.rows import RowDict, find
from lineagelog.record import BaseRecord
from lineagelog.store import Store


class Storage(BaseRecord):
    """A location under which artifacts lie: a local folder, a bucket, or another place that fsspec reaches.

    A path under a registered location is registered where it is; any other is copied into the default location.

    Attributes:
        root: Absolute path or URL.
        type: `local`, `s3`, `gs`, ….
        region: Region of a cloud location.
        description: Free text.
    """

    registry = STORAGE
    _updated = StorageUpdated

    root: str
    type: str
    region: str | None
    description: str | None
    updated_at: Any

    def __init__(
        self, root: str | os.PathLike[str], *, region: str | None = None, description: str | None = None
    ) -> None:
        """Describe a location; `save()` registers it.

        Args:
            root: Folder or URL; credentials are taken out, they belong into the environment.
            region: Region of a cloud location.
            description: Free text.
        """
        from lineagelog.adapters.storage import normalise_root

        self._begin()
        self.root, self.type = normalise_root(os.fspath(root))
        self.region = check_name(region, "the storage region") if region is not None else None
        self.description = check_text(description, "the description") if description is not None else None

    def make_default(self) -> Storage:
        """Let new artifacts go here from now on."""
        self._need_saved("make_default")
        store = self.store
        store.append_next(
            schema.STORES,
            store.id,
            lambda row: (
                None
                if row["default_storage_id"] == self.id
                else StorageMadeDefault(storage=self.id, previous=row["default_storage_id"])
            ),
        )
        return self

    def view_tree(self, *, max_depth: int = 6, max_files: int = 50) -> None:
        """Print what lies in the location; see `Artifact.view_tree`."""
        from lineagelog.folder_tree import read_tree, show_tree

        self._need_saved("view_tree")
        show_tree(read_tree(self.store.storage_backend(self.id), max_depth=max_depth, max_files=max_files))

    def _save_new(self) -> None:
        for row in find(self.store.log.database, schema.STORAGES):
            # The store's own folder is recorded as such, not by its path.
            if row["root"] == self.root or (
                row["type"] == "local" and self.store.resolve_root(row["root"]) == self.root
            ):
                self._load(self.store, row)
                return
        from lineagelog.adapters.storage import open_storage

        # A kind of location that cannot be opened here is refused before it is on record.
        open_storage(self.store.resolve_root(self.root))
        fact = StorageRegistered(
            uid=new_uid(STORAGE_UID_LENGTH),
            root=self.root,
            type=self.type,
            region=self.region,
            description=self.description,
        )
        (recorded,) = self.store.append([self.store.new_event(fact, new_id())])
        self._load(self.store, inserted_row(recorded))

    def _load(self, store: Store, row: RowDict) -> None:
        super()._load(store, row)
        if self.type == "local" and store.folder is not None:
            self.__dict__["root"] = store.resolve_root(self.root)
