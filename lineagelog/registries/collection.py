"""The registry of collections: ordered sets of artifacts, in versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from lineagelog import message
from lineagelog.content.loading import load_all, open_all
from lineagelog.content.remarks import warn_of_repeated_tag
from lineagelog.domain.collection import CollectionRegistered, CollectionUpdated, collection_hash
from lineagelog.domain.errors import ConstraintError, InvalidValueError
from lineagelog.domain.ids import ARTIFACT_STEM_LENGTH, new_id, new_uid, versioned_uid
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import COLLECTION
from lineagelog.projections.rows import Readable, RowDict, find, find_in, find_one
from lineagelog.registries.annotated import AnnotatedRecord
from lineagelog.registries.definition import hint_similar

if TYPE_CHECKING:
    import anndata
    import pandas as pd
    import pyarrow.dataset as ds

    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.registries.run import Run
    from lineagelog.registries.transform import Transform

_RETRIES: Final = 50


class Collection(AnnotatedRecord):
    """One version of an ordered set of artifacts.

    Attributes:
        key: Name of the collection, the same for all versions.
        description: Free text.
        hash: SHA-256 over the artifacts' hashes, in their order.
        n_artifacts: Number of artifacts.
        version: Version tag given by the user.
        version_number: Place in the family, from 0.
        is_latest: No later version of the family exists.
    """

    registry = COLLECTION
    _updated = CollectionUpdated

    key: str
    description: str | None
    hash: str
    n_artifacts: int
    version: str | None
    version_number: int
    is_latest: bool
    run_id: str | None
    transform_id: str | None
    updated_at: Any

    def __init__(
        self,
        artifacts: Artifact | Iterable[Artifact],
        key: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        revises: Collection | None = None,
        version: str | None = None,
        run: Run | Literal[False] | None = None,
    ) -> None:
        """Describe a collection; `save()` registers it, as the next version if the key exists and the content is another.

        Args:
            artifacts: What it holds, in this order; those that are not saved yet are saved with it.
            key: Name of the collection.
            name: Older name of `key`.
            description: Free text.
            revises: A version of the family that this one continues, whatever its key.
            version: Version tag.
            run: Run that made it; the current run by default, `False` for none.

        Raises:
            InvalidValueError: There are no artifacts, one of them twice, or a text is not acceptable.
            ArtifactDeletedError: One of them was deleted for good.
        """
        from lineagelog.registries.artifact import Artifact

        self._begin()
        self._members = [artifacts] if isinstance(artifacts, Artifact) else list(artifacts)
        _check_members(self, self._members)
        if revises is not None:
            if not isinstance(revises, Collection):
                raise TypeError(f"a collection revises a Collection, not {revises!r}")
            revises._need_saved("revises")
            self._need_same_store(revises, "the revised collection")
        self._stem = revises.uid[:ARTIFACT_STEM_LENGTH] if revises is not None else None
        named = key if key is not None else name
        self.key = check_name(revises.key if named is None and revises is not None else named, "the collection key")
        self.description = check_text(description, "the description") if description is not None else None
        self.version = check_name(version, "the version") if version is not None else None
        self._run = run

    @property
    def name(self) -> str:
        """Older name of `key`."""
        return self.key

    def _save_new(self) -> None:
        from lineagelog.content.saving import save_artifacts

        new = [artifact for artifact in self._members if not artifact._saved]
        if new:
            save_artifacts(self.store, new)
            _check_members(self, self._members)
        members = [artifact.id for artifact in self._members]
        self._register(lambda _: members)

    def _register(self, choose: Callable[[RowDict | None], Sequence[str]]) -> None:
        """Register what the present latest version calls for, or find that it is this already.

        Args:
            choose: Decides the ids of the artifacts from the row of the latest version, if there is one.
        """
        from lineagelog.content.placing import check_run_open
        from lineagelog.content.preparing import run_of

        run = run_of(self)

        def check_still(reader: Readable) -> None:
            if run is not None:
                check_run_open(reader, run.id)

        for attempt in range(_RETRIES):
            latest = self._latest()
            if latest is None and attempt == 0:
                hint_similar(self.store, "Collection", "key", self.key)
            members = list(choose(latest))
            content = collection_hash(self._hashes(members))
            if latest is not None and latest["hash"] == content and self.version in (None, latest["version"]):
                self._load(self.store, latest)
                message.info(
                    f"the content is that of Collection(uid={self.uid!r}, key={self.key!r}), which is the latest version"
                )
                return
            number = latest["version_number"] + 1 if latest is not None else 0
            stem = latest["stem"] if latest is not None else new_uid(ARTIFACT_STEM_LENGTH)
            fact = CollectionRegistered(
                uid=versioned_uid(stem, number),
                version_number=number,
                key=self.key,
                artifacts=members,
                hash=content,
                description=self.description,
                version=self.version,
                transform=run.transform_id if run is not None else None,
                run=run.id if run is not None else None,
                revises=latest["id"] if latest is not None else None,
            )
            event = self.store.new_event(fact, new_id(), run=run.id if run is not None else None)
            try:
                (recorded,) = self.store.append([event], guard=check_still)
            except ConstraintError as exc:
                # Another writer took the next place of the family; what is latest now decides anew.
                conflict = exc
                continue
            self._load(self.store, inserted_row(recorded))
            warn_of_repeated_tag(self)
            return
        raise conflict

    def _latest(self) -> RowDict | None:
        """Find the latest version of the family.

        Raises:
            ConstraintError: The key belongs to another family than that of `revises`.
        """
        database = self.store.log.database
        same_key = find(database, schema.COLLECTIONS, key=self.key)
        stem = same_key[-1]["stem"] if same_key else self._stem
        if self._stem is not None and stem != self._stem:
            raise ConstraintError(
                f"the key {self.key!r} belongs to the collection {same_key[-1]['uid']} of another family; choose another key, "
                "or revise that one"
            )
        return find_one(database, schema.COLLECTIONS, stem=stem, is_latest=1) if stem is not None else None

    def _hashes(self, members: Sequence[str]) -> list[str]:
        hashes = {row["id"]: row["hash"] for row in find_in(self.store.log.database, schema.ARTIFACTS, "id", members)}
        return [hashes[member] for member in members]

    def append(self, artifacts: Artifact | Iterable[Artifact], *, description: str | None = None) -> Collection:
        """Register the next version: what the latest one holds, and further artifacts after it.

        Several processes may append at once; none loses what another has appended.

        Args:
            artifacts: A saved artifact or several; those that are in it already stay where they are.
            description: Free text; that of this version by default.

        Returns:
            The new version, or the latest one if it holds them all.
        """
        from lineagelog.registries.artifact import Artifact

        self._need_saved("append")
        added = [artifacts] if isinstance(artifacts, Artifact) else list(artifacts)
        _check_members(self, added)
        for artifact in added:
            artifact._need_saved("append")
        described = self.description if description is None else description
        following: Collection = self.store.Collection(added, self.key, description=described, revises=self)

        def choose(latest: RowDict | None) -> list[str]:
            held = self._member_ids(latest["id"]) if latest is not None else []
            return list(dict.fromkeys([*held, *(artifact.id for artifact in added)]))

        following._register(choose)
        return following

    def _member_ids(self, collection_id: str) -> list[str]:
        rows = find(self.store.log.database, schema.LINKS, source_id=collection_id, kind="member")
        return [row["target_id"] for row in sorted(rows, key=lambda row: row["place"])]

    @property
    def artifacts(self) -> QuerySet[Artifact]:
        """Its artifacts, in the order of the collection."""
        from lineagelog.projections.query import related
        from lineagelog.registries.queryset import QuerySet

        self._need_saved("artifacts")
        everything = self.store.Artifact.all()
        held = replace(related(COLLECTION, "artifacts", self), features=everything.query.features)
        return QuerySet(self.store.Artifact, self.store, held)

    @property
    def versions(self) -> QuerySet[Collection]:
        """All versions of the family, this one included."""
        self._need_saved("versions")
        return self.store.Collection.filter(stem=self.uid[:ARTIFACT_STEM_LENGTH])

    @property
    def run(self) -> Run | None:
        """The run that made the collection."""
        return self.store.Run._from_id(self.run_id) if self.run_id is not None else None

    @property
    def transform(self) -> Transform | None:
        """The transform version of the run that made the collection."""
        return self.store.Transform._from_id(self.transform_id) if self.transform_id is not None else None

    def load(
        self, *, join: Literal["inner", "outer"] = "outer", is_run_input: bool | None = None
    ) -> pd.DataFrame | anndata.AnnData:
        """Load all artifacts as one: tables one under the other, or annotated matrices; each is checked.

        Args:
            join: Take the columns of all (`outer`), or those that all have (`inner`).
            is_run_input: Record the artifacts as inputs of the current run, or not; `settings.track_run_inputs` by default.

        Returns:
            A DataFrame; of annotated matrices an AnnData, whose `obs["artifact_uid"]` tells where each observation is from.

        Raises:
            UnsupportedFormatError: An artifact is of another kind than the others, or cannot be put together with them.
            DigestMismatchError: The stored content is not what was registered.
        """
        return load_all(self, join=join, is_run_input=is_run_input)

    def open(self, *, is_run_input: bool | None = None) -> ds.Dataset:
        """Open all artifacts, which must be tables, as one Arrow dataset; only what is asked of it is read.

        Columns that an artifact lacks are empty for it; numbers are widened where artifacts differ.

        Args:
            is_run_input: Record the artifacts as inputs of the current run, or not; `settings.track_run_inputs` by default.

        Raises:
            UnsupportedFormatError: An artifact is no table, or a column has types that do not go together.
            ObjectMissingError: The content of an artifact is gone.
        """
        return open_all(self, is_run_input=is_run_input)

    def cache(self, *, is_run_input: bool | None = None) -> list[Any]:
        """Return a local path of each artifact, checked; see `Artifact.cache`."""
        return [artifact.cache(is_run_input=is_run_input) for artifact in self]

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.artifacts) if self._saved else iter(self._members)

    def __len__(self) -> int:
        return self.n_artifacts if self._saved else len(self._members)


def _check_members(collection: Collection, artifacts: Sequence[Any]) -> None:
    from lineagelog.content.disposal import check_not_deleted
    from lineagelog.registries.artifact import Artifact

    if not artifacts:
        raise InvalidValueError("the artifacts of the collection", "are none; pass at least one artifact")
    known: set[Any] = set()
    for artifact in artifacts:
        if not isinstance(artifact, Artifact):
            raise TypeError(f"a collection holds artifacts, not {artifact!r}")
        collection._need_same_store(artifact, "the artifact")
        if artifact in known:
            raise InvalidValueError(
                "the artifacts of the collection", f"hold {artifact.uid or artifact.key} twice; pass each artifact once"
            )
        known.add(artifact)
    check_not_deleted(collection.store, [artifact.id for artifact in artifacts if artifact._saved])
