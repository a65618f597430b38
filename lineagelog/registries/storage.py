"""The registry of storage locations."""

from __future__ import annotations

import os
import re
from typing import Any, Final

from lineagelog import location
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.ids import STORAGE_UID_LENGTH, new_id, new_uid
from lineagelog.domain.storage import StorageMadeDefault, StorageRegistered, StorageUpdated
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import STORAGE
from lineagelog.projections.rows import RowDict, find
from lineagelog.registries.record import BaseRecord
from lineagelog.store import Store

_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:_]+(?:/[A-Za-z0-9.\-_/]*)?")


class Storage(BaseRecord):
    """A location under which artifacts lie: a local folder, a bucket, or another place that fsspec reaches.

    A path under a registered location is registered where it is; any other is copied into the default location.

    Attributes:
        root: Absolute path or URL.
        type: `local`, `s3`, `gs`, ….
        region: Region of a cloud location.
        endpoint_url: Address of a server that speaks the protocol of S3 and is not Amazon's.
        description: Free text.
        checked_at: When all its content was last read and compared.
    """

    registry = STORAGE
    _updated = StorageUpdated

    root: str
    type: str
    region: str | None
    endpoint_url: str | None
    description: str | None
    checked_at: Any
    updated_at: Any

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        description: str | None = None,
    ) -> None:
        """Describe a location; `save()` registers it.

        Args:
            root: Folder or URL; credentials are taken out, they belong into the environment.
            region: Region of a cloud location.
            endpoint_url: Address of a server that speaks the protocol of S3 and is not Amazon's, such as
                `https://minio.example.org`; the environment's `AWS_ENDPOINT_URL` wins.
            description: Free text.

        Raises:
            InvalidValueError: The root is no address, or lies inside a store's own folder.
        """
        from lineagelog.adapters.storage import normalise_root

        self._begin()
        self.root, self.type = normalise_root(os.fspath(root))
        if location.FOLDER in self.root.split("/"):
            raise InvalidValueError(
                "the storage root",
                f"{self.root} lies inside the own folder of a store; register the folder that holds your files",
            )
        self.region = check_name(region, "the storage region") if region is not None else None
        self.endpoint_url = _check_endpoint(endpoint_url) if endpoint_url is not None else None
        self.description = check_text(description, "the description") if description is not None else None

    def make_default(self, *, reason: str | None = None) -> Storage:
        """Let new artifacts go here from now on.

        Args:
            reason: Why; kept with the change.
        """
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
            reason=reason,
        )
        return self

    def view_tree(self, *, max_depth: int = 6, max_files: int = 50) -> None:
        """Print what lies in the location; see `Artifact.view_tree`."""
        from lineagelog.content.folder_tree import read_tree, show_tree

        self._need_saved("view_tree")
        show_tree(read_tree(self.store.storage_backend(self.id), max_depth=max_depth, max_files=max_files))

    def _save_new(self) -> None:
        self.store.check_is_present()
        for row in find(self.store.log.database, schema.STORAGES):
            # The store's own folder is recorded as such, not by its path.
            if row["root"] == self.root or (
                row["type"] == "local" and self.store.resolve_root(row["root"]) == self.root
            ):
                self._load(self.store, row)
                return
        from lineagelog.adapters.storage import open_storage

        # A kind of location that cannot be opened here is refused before it is on record.
        open_storage(self.store.resolve_root(self.root), region=self.region, endpoint_url=self.endpoint_url)
        fact = StorageRegistered(
            uid=new_uid(STORAGE_UID_LENGTH),
            root=self.root,
            type=self.type,
            region=self.region,
            endpoint_url=self.endpoint_url,
            description=self.description,
        )
        (recorded,) = self.store.append([self.store.new_event(fact, new_id())])
        self._load(self.store, inserted_row(recorded))

    def _save_changes(self, reason: str | None) -> None:
        super()._save_changes(reason)
        # It is opened with its new settings from now on.
        self.store._storages.pop(self.id, None)

    def _check_field(self, name: str, value: Any) -> Any:
        if name == "endpoint_url" and value is not None:
            return _check_endpoint(value)
        return super()._check_field(name, value)

    def _load(self, store: Store, row: RowDict) -> None:
        super()._load(store, row)
        if self.type == "local" and store.folder is not None:
            self.__dict__["root"] = store.resolve_root(self.root)


def _check_endpoint(value: object) -> str:
    """Accept the address of a server; what could be a credential must not be recorded.

    Raises:
        InvalidValueError: It is not the address of a server, or holds more than that.
    """
    text = check_name(value, "the endpoint URL")
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise InvalidValueError(
            "the endpoint URL",
            "must be the address of a server alone, such as https://minio.example.org:9000; a user name, password or query "
            "does not belong in it: credentials come from the environment",
        )
    return text.rstrip("/")
