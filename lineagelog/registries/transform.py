"""The registry of transforms: the versions of scripts, notebooks, pipelines, functions and apps."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from lineagelog.domain.errors import ConcurrentWriteError, ConstraintError
from lineagelog.domain.ids import TRANSFORM_STEM_LENGTH, Id, new_id, new_uid, versioned_uid
from lineagelog.domain.redaction import redact_text, redact_url
from lineagelog.domain.transform import TransformRegistered, TransformUpdated, check_type, check_uid
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import TRANSFORM
from lineagelog.projections.rows import Readable, RowDict, find
from lineagelog.registries.lineal import HierarchicalRecord

if TYPE_CHECKING:
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.registries.run import Run


class Transform(HierarchicalRecord):
    """One version of a piece of code that turns data into data.

    Attributes:
        key: File name or name; the versions of a family share it unless it was renamed.
        type: `script`, `notebook`, `pipeline`, `function`, `app`, `upload` or `glue`.
        description: Title or free text.
        version: Version tag given by the user.
        source_code: The source as stored.
        hash: SHA-256 of the source as it ran.
        source_redacted: Secrets were taken out of `source_code`.
        reference: URL or other reference.
        reference_type: What `reference` is.
        is_latest: No later version of the family exists.
    """

    registry = TRANSFORM
    _updated = TransformUpdated

    key: str
    type: str
    description: str | None
    version: str | None
    source_code: str | None
    hash: str | None
    source_redacted: bool
    reference: str | None
    reference_type: str | None
    is_latest: bool
    version_number: int
    updated_at: Any

    def __init__(
        self,
        key: str | None = None,
        *,
        name: str | None = None,
        type: str = "pipeline",  # noqa: A002 - the field's name
        version: str | None = None,
        description: str | None = None,
        source_code: str | None = None,
        reference: str | None = None,
        reference_type: str | None = None,
        uid: str | None = None,
        revises: Transform | None = None,
    ) -> None:
        """Describe a transform; `save()` registers it, or finds the version that is there already.

        Args:
            key: Name of the transform.
            name: Older name of `key`.
            type: What kind of code it is.
            version: Version tag, such as `7.2.0`; another tag is another version of the same family.
            description: Title or free text.
            source_code: The source; other source is another version of the same family.
            reference: URL or other reference to the code.
            reference_type: What `reference` is.
            uid: 12 characters that name the family, whatever its key; keeps a renamed script one family.
            revises: A version of the family this one continues.
        """
        self._begin()
        self._is_new = False
        self.key = check_name(key if key is not None else name, "the transform key")
        self.type = check_type(type)
        self.version = check_name(version, "the version") if version is not None else None
        self.description = check_text(description, "the description") if description is not None else None
        self.reference = redact_url(check_name(reference, "the reference")) if reference is not None else None
        self.reference_type = check_name(reference_type, "the reference type") if reference_type is not None else None
        self._source = check_text(source_code, "the source code").encode() if source_code is not None else None
        self._stored_source: tuple[str, bool] | None = None
        self._stem = check_uid(uid) if uid is not None else None
        if revises is not None:
            revises._need_saved("revises")
            self._need_same_store(revises, "the revised transform")
            self._stem = revises.uid[:TRANSFORM_STEM_LENGTH]

    @property
    def name(self) -> str:
        """Older name of `key`."""
        return self.key

    def _save_new(self) -> None:
        # Two processes may register the same version at once; the loser finds the winner's.
        for attempt in range(10):
            family = self._family(self.store.log.database)
            if attempt == 0 and not family and self._stem is None and self._source is None:
                self._hint_similar()
            existing, fact, record_id = self._place(family)
            if existing is not None:
                self._load(self.store, existing)
                return
            assert fact is not None
            try:
                (recorded,) = self.store.append(
                    [self.store.new_event(fact, record_id)], guard=partial(self._check_family, family)
                )
            except (ConstraintError, ConcurrentWriteError) as exc:
                conflict = exc
                continue
            self._load(self.store, inserted_row(recorded))
            self._is_new = True
            if self.version is not None:
                from lineagelog.content.remarks import warn_of_repeated_tag

                warn_of_repeated_tag(self)
            return
        raise conflict

    def _hint_similar(self) -> None:
        # Imported by those who name a transform; the start of a tracked script does without.
        from lineagelog.registries.definition import hint_similar

        hint_similar(self.store, "Transform", "key", self.key)

    def _family(self, reader: Readable) -> list[RowDict]:
        """Read the versions of the family that the uid or the key names, in the order of the log."""
        if self._stem is not None:
            return find(reader, schema.TRANSFORMS, stem=self._stem)
        same_key = find(reader, schema.TRANSFORMS, key=self.key, type=self.type)
        return find(reader, schema.TRANSFORMS, stem=same_key[-1]["stem"]) if same_key else []

    def _check_family(self, known: list[RowDict], reader: Readable) -> None:
        """Make sure that nobody has begun or continued the family since it was read.

        Raises:
            ConcurrentWriteError: Somebody has.
        """
        if [row["id"] for row in self._family(reader)] != [row["id"] for row in known]:
            raise ConcurrentWriteError(f"another process has just registered a version of {self.key!r}; save it again")

    def _place(self, family: list[RowDict]) -> tuple[RowDict | None, TransformRegistered | None, Id]:
        """Decide whether this is a version that exists, the next of a family, or a new family.

        Returns:
            The row of the existing version, or the fact and id of a new one.
        """
        digest = hashlib.sha256(self._source).hexdigest() if self._source is not None else None
        for row in reversed(family):
            if row["hash"] == digest and (self.version is None or row["version"] == self.version):
                return row, None, Id(row["id"])
        latest = max(family, key=lambda row: row["version_number"], default=None)
        number = latest["version_number"] + 1 if latest is not None else 0
        stem = latest["stem"] if latest is not None else self._stem or new_uid(TRANSFORM_STEM_LENGTH)
        source, redacted = None, False
        if self._stored_source is not None:
            source, redacted = self._stored_source
        elif self._source is not None:
            source, redacted = redact_text(self._source.decode(errors="replace").replace("\x00", "�"))
        fact = TransformRegistered(
            uid=versioned_uid(stem, number),
            version_number=number,
            key=self.key,
            type=self.type,
            description=self.description,
            version=self.version,
            source_code=source,
            hash=digest,
            source_redacted=redacted,
            reference=self.reference,
            reference_type=self.reference_type,
            revises=latest["id"] if latest is not None else None,
        )
        return None, fact, new_id()

    @property
    def versions(self) -> QuerySet[Transform]:
        """All versions of the family, this one included."""
        return self.store.Transform.filter(stem=self.uid[:TRANSFORM_STEM_LENGTH])

    @property
    def runs(self) -> QuerySet[Run]:
        """Runs of this version."""
        return self.store.Run.filter(transform=self)

    @property
    def latest_run(self) -> Run | None:
        """The run of this version that started last."""
        return self.runs.last()

    @property
    def artifacts(self) -> QuerySet[Artifact]:
        """Artifacts that runs of this version generated."""
        return self.store.Artifact._whole().filter(transform=self)

    @property
    def parents(self) -> QuerySet[Transform]:
        """Transforms whose artifacts runs of this version have read."""
        from lineagelog.projections.lineage import transform_parents

        return self._related(transform_parents)

    @property
    def children(self) -> QuerySet[Transform]:
        """Transforms whose runs have read artifacts of this version."""
        from lineagelog.projections.lineage import transform_children

        return self._related(transform_children)

    def _related(self, find_ids: Any) -> QuerySet[Transform]:
        self._need_saved("parents")
        with self.store.log.database.snapshot() as snapshot:
            return self.store.Transform.filter(id__in=[other for _, other in find_ids(snapshot, [self.id])])
