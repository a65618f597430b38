"""What a registry is: its table, the fields and relations people may name, and what they may change.

Plain data over `schema.py`. The query compiler looks every name up here, so that no text of a user ever becomes SQL; records,
`describe()` and data frames take their fields from the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lineagelog.domain.artifact import KINDS_OF_RUNS, LIVE
from lineagelog.domain.errors import UnknownFieldError
from lineagelog.domain.ids import (
    ARTIFACT_STEM_LENGTH,
    FEATURE_UID_LENGTH,
    PROJECT_UID_LENGTH,
    RECORD_UID_LENGTH,
    RUN_UID_LENGTH,
    SHORT_UID_LENGTH,
    STORAGE_UID_LENGTH,
    TRANSFORM_STEM_LENGTH,
    VERSION_LENGTH,
)
from lineagelog.projections import schema
from lineagelog.projections.table import Column, Table

_BOOKKEEPING: Final = ("position", "id", "revision", "stem")


@dataclass(frozen=True, slots=True)
class Through:
    """The table whose rows connect those of two registries, from id to id.

    Attributes:
        table: The table, such as `links`.
        near: Its column with the id of this registry's row.
        far: Its column with the id of the target's row.
        kinds: Values of its column `kind` that count; all rows do if there are none.
        mixed: Rows of these kinds lead to several registries, so that the target has to be looked at.
        order: Its column that orders the related rows; empty if they come in the order of their positions.
    """

    table: Table
    near: str
    far: str
    kinds: tuple[str, ...] = ()
    mixed: bool = False
    order: str = ""

    def turned(self) -> Through:
        """Follow it the other way."""
        return Through(self.table, self.far, self.near, self.kinds, self.mixed)


@dataclass(frozen=True, slots=True)
class Relation:
    """How the rows of a registry lead to those of another, or of itself.

    Rows are related where `column` here equals `target_column` there, or by the rows of a table between them.

    Attributes:
        target: Name of the registry it leads to.
        column: Column of this registry's table.
        target_column: Column of the target's table.
        many: A row may have several related rows.
        through: The table between the two, if there is one.
        doc: What it means.
    """

    target: str
    column: str = "id"
    target_column: str = "id"
    many: bool = False
    through: Through | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry as its users see it.

    Attributes:
        name: Name of the class, such as `Artifact`.
        table: Where its rows lie; every column is a field that queries may name.
        uid_length: Characters of a uid.
        relations: Name to relation, in both directions.
        hidden: Columns that queries may name but that are not shown.
        aliases: Other names of fields.
        mutable: Fields that may be changed by an update event.
        search: Fields that a text search looks at, the most telling first.
        shown: Fields in the short form of a record.
        lookup_field: Field whose values name records best.
        unless_named: Field to the value that it has on the records a query shows, unless the query names the field itself.
        left_out: Field to the values that records have which a query leaves out, unless it names the field itself.
        fields: Fields that are shown in tables, name to column, in the order of the table.
    """

    name: str
    table: Table
    uid_length: int
    relations: Mapping[str, Relation]
    hidden: tuple[str, ...] = _BOOKKEEPING
    aliases: Mapping[str, str] = field(default_factory=dict)
    mutable: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    lookup_field: str = "uid"
    unless_named: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        columns = {column.name: column for column in self.table.columns if column.name not in self.hidden}
        object.__setattr__(self, "fields", columns)

    @property
    def choices(self) -> tuple[str, ...]:
        """Names that people may use in a query."""
        return (*self.fields, *self.aliases, *self.relations)

    def find_column(self, name: str) -> Column | None:
        """Find the column that a field name or alias means, `None` if there is none."""
        name = self.aliases.get(name, name)
        return self.table.column(name) if name in self.table.names else None

    def column_of(self, name: str) -> str:
        """Return the name of the column that a field name or alias means.

        Raises:
            UnknownFieldError: There is no such field.
        """
        column = self.find_column(name)
        if column is None:
            raise UnknownFieldError(self.name, name, (*self.fields, *self.aliases))
        return column.name


def inverse(registry: Registry, name: str) -> str:
    """Find the relation that leads from the target of a relation back to a registry.

    Raises:
        LookupError: There is none.
    """
    relation = registry.relations[name]
    for back, other in REGISTRIES[relation.target].relations.items():
        if other.target != registry.name:
            continue
        if relation.through is None or other.through is None:
            ends = (other.column, other.target_column) == (relation.target_column, relation.column)
            if relation.through is other.through and ends:
                return back
        elif (other.through.table, other.through.near, other.through.far, other.through.kinds) == (
            relation.through.table, relation.through.far, relation.through.near, relation.through.kinds,
        ):  # fmt: skip
            return back
    raise LookupError(f"no relation leads from {relation.target} back to {registry.name} over {name}")


def _links(kind: str, target: str, doc: str, *, back: bool = False, order: str = "", mixed: bool = False) -> Relation:
    """Lead through the links of a kind, from source to target or back."""
    near, far = ("target_id", "source_id") if back else ("source_id", "target_id")
    return Relation(target, many=True, through=Through(schema.LINKS, near, far, (kind,), mixed, order), doc=doc)


def _annotated_with(kind: str, what: str) -> dict[str, Relation]:
    """Lead from a label, record or project to all that it was put on."""
    return {
        name: _links(kind, target, f"{name} with this {what}", back=True, mixed=True)
        for name, target in (("artifacts", "Artifact"), ("runs", "Run"), ("collections", "Collection"))
    }


def _measured_on() -> dict[str, Relation]:
    through = Through(schema.FEATURE_VALUES, "feature_id", "subject_id", mixed=True)
    return {
        name: Relation(target, many=True, through=through, doc=f"{name} that have this feature")
        for name, target in (("artifacts", "Artifact"), ("runs", "Run"), ("collections", "Collection"))
    }


def _kinship(registry: str) -> dict[str, Relation]:
    """Lead from a label or record to its own kind."""
    return {
        "type": Relation(registry, "type_id", doc="what it is an instance of"),
        "instances": Relation(registry, "id", "type_id", many=True, doc="its instances, if it is a type"),
        "parents": _links("parent", registry, "its parents"),
        "children": _links("parent", registry, "those of which it is a parent", back=True),
    }


_USED: Final = Through(schema.EDGES, "run_id", "artifact_id", ("used",))
_SAVED: Final = Through(schema.EDGES, "run_id", "artifact_id", ("generated", "seen"))
_ANNOTATIONS: Final = {
    "ulabels": _links("ulabel", "ULabel", "labels it has"),
    "records": _links("record", "Record", "records it has as labels"),
    "projects": _links("project", "Project", "projects it belongs to"),
    "project": _links("project", "Project", "projects it belongs to, by a shorter name"),
    "features": Relation(
        "Feature", many=True, through=Through(schema.FEATURE_VALUES, "subject_id", "feature_id"), doc="features it has"
    ),
}

USER: Final = Registry(
    "User",
    schema.USERS,
    SHORT_UID_LENGTH,
    {
        "created_artifacts": Relation("Artifact", "id", "created_by_id", many=True, doc="artifacts the user recorded"),
        "created_runs": Relation("Run", "id", "created_by_id", many=True, doc="runs the user started"),
        "created_transforms": Relation("Transform", "id", "created_by_id", many=True, doc="code the user registered"),
        "created_storages": Relation("Storage", "id", "created_by_id", many=True, doc="locations the user added"),
        "created_collections": Relation(
            "Collection", "id", "created_by_id", many=True, doc="collections the user made"
        ),
    },
    mutable=("name", "email"),
    search=("handle", "name", "email", "uid"),
    shown=("uid", "handle", "name", "email", "created_at"),
    lookup_field="handle",
)

STORAGE: Final = Registry(
    "Storage",
    schema.STORAGES,
    STORAGE_UID_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who added it"),
        "artifacts": Relation("Artifact", "id", "storage_id", many=True, doc="artifacts whose bytes lie here"),
    },
    mutable=("description", "region", "endpoint_url"),
    search=("root", "description", "uid"),
    shown=("uid", "root", "type", "region", "description", "created_at"),
    lookup_field="root",
)

TRANSFORM: Final = Registry(
    "Transform",
    schema.TRANSFORMS,
    TRANSFORM_STEM_LENGTH + VERSION_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who registered it"),
        "runs": Relation("Run", "id", "transform_id", many=True, doc="its runs"),
        "artifacts": Relation("Artifact", "id", "transform_id", many=True, doc="artifacts that its runs generated"),
        "collections": Relation("Collection", "id", "transform_id", many=True, doc="collections that its runs made"),
        "revises": Relation("Transform", "revises_id", doc="previous version"),
        "revised_by": Relation("Transform", "id", "revises_id", many=True, doc="next version"),
        "versions": Relation("Transform", "stem", "stem", many=True, doc="all versions, this one included"),
    },
    aliases={"name": "key"},
    mutable=("description", "version", "reference", "reference_type"),
    search=("key", "description", "uid"),
    shown=("uid", "version", "is_latest", "key", "type", "description", "created_at"),
    lookup_field="key",
)

RUN: Final = Registry(
    "Run",
    schema.RUNS,
    RUN_UID_LENGTH,
    {
        "transform": Relation("Transform", "transform_id", doc="code that ran"),
        "created_by": Relation("User", "created_by_id", doc="user who started it"),
        "initiated_by_run": Relation("Run", "initiated_by_run_id", doc="run that started it"),
        "child_runs": Relation("Run", "id", "initiated_by_run_id", many=True, doc="runs it started"),
        "inputs": Relation("Artifact", many=True, through=_USED, doc="artifacts it read"),
        "outputs": Relation("Artifact", many=True, through=_SAVED, doc="artifacts it saved"),
        "collections": Relation("Collection", "id", "run_id", many=True, doc="collections it made"),
        **_ANNOTATIONS,
    },
    mutable=("name", "reference", "reference_type"),
    search=("name", "uid", "reference"),
    shown=("uid", "name", "status", "started_at", "finished_at", "params"),
)

ARTIFACT: Final = Registry(
    "Artifact",
    schema.ARTIFACTS,
    ARTIFACT_STEM_LENGTH + VERSION_LENGTH,
    {
        "storage": Relation("Storage", "storage_id", doc="location of its bytes"),
        "run": Relation("Run", "run_id", doc="run that generated it"),
        "transform": Relation("Transform", "transform_id", doc="code of that run"),
        "created_by": Relation("User", "created_by_id", doc="user who recorded it"),
        "revises": Relation("Artifact", "revises_id", doc="previous version"),
        "revised_by": Relation("Artifact", "id", "revises_id", many=True, doc="next version"),
        "versions": Relation("Artifact", "stem", "stem", many=True, doc="all versions, this one included"),
        "input_of_runs": Relation("Run", many=True, through=_USED.turned(), doc="runs that read it"),
        "output_of_runs": Relation(
            "Run", many=True, through=_SAVED.turned(), doc="runs that saved it, not only the first"
        ),
        "collections": _links("member", "Collection", "collections that hold it", back=True),
        **_ANNOTATIONS,
    },
    hidden=(*_BOOKKEEPING, "table_schema", "content_removed"),
    aliases={"accessor": "otype", "n_objects": "n_files"},
    mutable=("description", "version", "kind"),
    search=("key", "description", "uid"),
    shown=("uid", "version", "is_latest", "key", "description", "suffix", "kind", "otype", "size", "created_at"),
    lookup_field="key",
    # What was put into the trash or deleted is history: it is shown to those who ask for it.
    unless_named={"state": LIVE},
    left_out={"kind": KINDS_OF_RUNS},
)

COLLECTION: Final = Registry(
    "Collection",
    schema.COLLECTIONS,
    ARTIFACT_STEM_LENGTH + VERSION_LENGTH,
    {
        "artifacts": _links("member", "Artifact", "artifacts it holds, in their order", order="place"),
        "run": Relation("Run", "run_id", doc="run that made it"),
        "transform": Relation("Transform", "transform_id", doc="code of that run"),
        "created_by": Relation("User", "created_by_id", doc="user who made it"),
        "revises": Relation("Collection", "revises_id", doc="previous version"),
        "revised_by": Relation("Collection", "id", "revises_id", many=True, doc="next version"),
        "versions": Relation("Collection", "stem", "stem", many=True, doc="all versions, this one included"),
        **_ANNOTATIONS,
    },
    aliases={"name": "key"},
    mutable=("description", "version"),
    search=("key", "description", "uid"),
    shown=("uid", "version", "is_latest", "key", "description", "n_artifacts", "created_at"),
    lookup_field="key",
)

ULABEL: Final = Registry(
    "ULabel",
    schema.ULABELS,
    SHORT_UID_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who defined it"),
        **_kinship("ULabel"),
        **_annotated_with("ulabel", "label"),
    },
    hidden=(*_BOOKKEEPING, "type_key"),
    mutable=("description", "reference", "reference_type"),
    search=("name", "description", "uid"),
    shown=("uid", "name", "is_type", "description", "created_at"),
    lookup_field="name",
)

RECORD: Final = Registry(
    "Record",
    schema.RECORDS,
    RECORD_UID_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who defined it"),
        **_kinship("Record"),
        **_annotated_with("record", "record"),
    },
    hidden=(*_BOOKKEEPING, "type_key"),
    mutable=("description", "reference", "reference_type"),
    search=("name", "description", "uid"),
    shown=("uid", "name", "is_type", "description", "created_at"),
    lookup_field="name",
)

FEATURE: Final = Registry(
    "Feature",
    schema.FEATURES,
    FEATURE_UID_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who defined it"),
        **_measured_on(),
    },
    mutable=("unit", "description", "synonyms"),
    search=("name", "description", "uid"),
    shown=("uid", "name", "dtype", "unit", "description", "created_at"),
    lookup_field="name",
)

PROJECT: Final = Registry(
    "Project",
    schema.PROJECTS,
    PROJECT_UID_LENGTH,
    {
        "created_by": Relation("User", "created_by_id", doc="user who created it"),
        **_annotated_with("project", "project"),
    },
    mutable=("description", "url"),
    search=("name", "description", "uid"),
    shown=("uid", "name", "description", "url", "created_at"),
    lookup_field="name",
)

REGISTRIES: Final[Mapping[str, Registry]] = {
    registry.name: registry
    for registry in (USER, STORAGE, TRANSFORM, RUN, ARTIFACT, COLLECTION, ULABEL, RECORD, FEATURE, PROJECT)
}
"""Every registry by its name."""
