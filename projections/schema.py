"""The projection tables: one per registry, the lineage edges, sessions, environments, and checks of stored content.

`position` is the place in the log of the event that registered the row: the primary key, and the order in which rows are listed.
`id` is the UUIDv7 of the record, the key other tables refer to. `revision` is the number of events in the record's stream, which
the next change of it must continue.
"""

from __future__ import annotations

from typing import Final

from lineagelog.projections.table import Column, Table

_POSITION = Column("position", "int", doc="place in the log of the registering event")
_ID = Column("id", "id", doc="UUIDv7 of the record")
_REVISION = Column("revision", "int", doc="events in the record's stream so far")
_UID = Column("uid", doc="short name")
_CREATED_AT = Column("created_at", "time", doc="when it was recorded, UTC")
_UPDATED_AT = Column("updated_at", "time", doc="when it last changed, UTC")
_CREATED_BY = Column("created_by_id", "id", null=True, doc="user who recorded it")

USERS: Final = Table(
    "users",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("handle", doc="name to log in with"),
        Column("name", null=True, doc="name as people write it"),
        Column("email", null=True, doc="address"),
        _CREATED_AT, _UPDATED_AT,
    ),
    unique=(("id",), ("uid",), ("handle",)),
)  # fmt: skip

STORES: Final = Table(
    "stores",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("name", doc="name of the store"),
        Column("modules", "json", doc="registries beyond the core"),
        Column("default_storage_id", "id", null=True, doc="where new artifacts go"),
        Column("require_reason", "bool", doc="changes and deletions must say why"),
        _CREATED_AT, _CREATED_BY,
    ),
    unique=(("id",),),
)  # fmt: skip

SESSIONS: Final = Table(
    "sessions",
    (
        _POSITION, _ID,
        Column("user_id", "id", doc="user who logged in"),
        Column("started_at", "time", doc="log-in"),
        Column("ended_at", "time", null=True, doc="log-out"),
    ),
    unique=(("id",),),
    indexes=(("user_id",),),
)  # fmt: skip

STORAGES: Final = Table(
    "storages",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("root", doc="absolute path or URL"),
        Column("type", doc="local, s3, gs, …"),
        Column("region", null=True, doc="region of a cloud location"),
        Column("endpoint_url", null=True, doc="address of a server that speaks the protocol of S3 and is not Amazon's"),
        Column("description", null=True, doc="free text"),
        Column("checked_at", "time", null=True, doc="when all its content was last read and compared"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",), ("root",)),
)  # fmt: skip

TRANSFORMS: Final = Table(
    "transforms",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("stem", doc="the characters of the uid that all versions share"),
        Column("version_number", "int", doc="place in the family, from 0"),
        Column("is_latest", "bool", doc="no later version exists"),
        Column("version", null=True, doc="version tag"),
        Column("key", doc="file name or name"),
        Column("type", doc="script, notebook, pipeline, …"),
        Column("description", null=True, doc="title or free text"),
        Column("source_code", null=True, doc="source as stored"),
        Column("hash", null=True, doc="SHA-256 of the source as it ran"),
        Column("source_redacted", "bool", doc="secrets were taken out of the stored source"),
        Column("reference", null=True, doc="URL or other reference"),
        Column("reference_type", null=True, doc="what the reference is"),
        Column("revises_id", "id", null=True, doc="previous version"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",)),
    indexes=(("key", "version_number"), ("hash",), ("created_by_id",)),
)  # fmt: skip

ENVIRONMENTS: Final = Table(
    "environments",
    (
        _POSITION, _ID,
        Column("hash", doc="SHA-256 of the content"),
        Column("python", doc="version of Python"),
        Column("implementation", doc="name of the Python implementation"),
        Column("platform", doc="operating system, release, machine"),
        Column("packages", "json", doc="installed distributions, name to version"),
        Column("hardware", "json", doc="processor and memory"),
        Column("conda", null=True, doc="name of the conda environment"),
        Column("conda_packages", "json", doc="packages that conda installed, name to version"),
        _CREATED_AT,
    ),
    unique=(("id",), ("hash",)),
)  # fmt: skip

RUNS: Final = Table(
    "runs",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("name", null=True, doc="name given by the user"),
        Column("transform_id", "id", doc="transform version that ran"),
        Column("status", doc="started, finished, failed or aborted"),
        Column("started_at", "time", doc="start"),
        Column("finished_at", "time", null=True, doc="end"),
        Column("params", "json", doc="parameters, secrets redacted"),
        Column("redacted", "json", doc="paths of redacted parameters"),
        Column("reference", null=True, doc="URL or id in another system"),
        Column("reference_type", null=True, doc="what the reference is"),
        Column("initiated_by_run_id", "id", null=True, doc="run that started this one"),
        Column("environment_id", "id", null=True, doc="software environment"),
        Column("git_commit", null=True, doc="commit of the checkout"),
        Column("git_dirty", "bool", null=True, doc="the checkout had uncommitted changes"),
        Column("git_remote", null=True, doc="remote of the checkout"),
        Column("git_branch", null=True, doc="branch of the checkout"),
        Column("git_path", null=True, doc="path of the script in the checkout"),
        Column("command", "json", doc="command line"),
        Column("host", null=True, doc="machine"),
        Column("container", null=True, doc="id of the container"),
        Column("pid", "int", null=True, doc="process that the run ends with"),
        Column("error_type", null=True, doc="class of the error, or what interrupted the run"),
        Column("error_message", null=True, doc="text of the error"),
        Column("error_traceback", null=True, doc="traceback"),
        Column("is_consecutive", "bool", null=True, doc="the cells of its notebook ran once each, from top to bottom"),
        Column("stale_cells", "json", null=True, doc="cells of its notebook that were changed after they had run, by place"),
        Column("unrun_cells", "json", null=True, doc="cells of its notebook that did not run, by place"),
        Column("imports", "json", null=True, doc="packages that its notebook had imported, name to version"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",)),
    indexes=(("transform_id",), ("created_by_id",), ("initiated_by_run_id",), ("status",), ("reference",)),
)  # fmt: skip

ARTIFACTS: Final = Table(
    "artifacts",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("stem", doc="the characters of the uid that all versions share"),
        Column("version_number", "int", doc="place in the family, from 0"),
        Column("is_latest", "bool", doc="the newest live version of the family"),
        Column("version", null=True, doc="version tag"),
        Column("key", null=True, doc="name within the store"),
        Column("key_is_virtual", "bool", doc="the bytes do not lie at the key"),
        Column("description", null=True, doc="free text"),
        Column("suffix", doc="file name extension"),
        Column("kind", null=True, doc="dataset, model, plot or report"),
        Column("otype", null=True, doc="type of the object in memory"),
        Column("size", "int", doc="bytes"),
        Column("hash", doc="SHA-256 of the content or of the folder's listing"),
        Column("hash_type", doc="sha256 or sha256-folder"),
        Column("n_files", "int", null=True, doc="files of a folder"),
        Column("n_observations", "int", null=True, doc="rows of a table, observations of an annotated matrix"),
        Column("n_variables", "int", null=True, doc="columns of a table, variables of an annotated matrix"),
        Column("table_schema", "json", null=True, doc="column name to Arrow type, of the first 1,000 columns"),
        Column("storage_id", "id", doc="storage location"),
        Column("storage_path", doc="where the bytes lie, relative to the storage root"),
        Column("run_id", "id", null=True, doc="run that generated it"),
        Column("transform_id", "id", null=True, doc="transform version of that run"),
        Column("revises_id", "id", null=True, doc="previous version"),
        Column("state", doc="live, trashed or deleted"),
        Column("content_removed", "bool", doc="deleted, and its bytes with it"),
        Column("content_status", null=True, doc="what the last check of its content found: intact, missing or changed"),
        Column("verified_at", "time", null=True, doc="when that was"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",), ("stem", "version_number"), ("key", "version_number")),
    indexes=(("hash",), ("run_id",), ("transform_id",), ("created_by_id",), ("suffix",), ("storage_path",)),
)  # fmt: skip

EDGES: Final = Table(
    "edges",
    (
        _POSITION,
        Column("run_id", "id", doc="the run"),
        Column("artifact_id", "id", doc="the artifact"),
        Column("kind", doc="used, generated, or seen: content saved again that existed already"),
        Column("role", doc="part the artifact plays in the run"),
        Column("how", null=True, doc="call that read an input"),
        Column("at", "time", doc="when"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    # Both directions of a traversal are answered from an index alone.
    unique=(("run_id", "kind", "artifact_id", "role"),),
    indexes=(("artifact_id", "kind", "run_id"),),
)  # fmt: skip

_REFERENCE: Final = (
    Column("reference", null=True, doc="URL or id elsewhere"),
    Column("reference_type", null=True, doc="what the reference is"),
)
_TYPED: Final = (
    Column("name", doc="name"),
    Column("description", null=True, doc="free text"),
    Column("is_type", "bool", doc="it groups others and is no instance itself"),
    Column("type_id", "id", null=True, doc="what it is an instance of"),
    # NULLs are all different to a uniqueness rule; this column is empty where the type is missing.
    Column("type_key", doc="id of the type, or empty"),
    *_REFERENCE,
)

ULABELS: Final = Table(
    "ulabels",
    (_POSITION, _ID, _REVISION, _UID, *_TYPED, _CREATED_AT, _UPDATED_AT, _CREATED_BY),
    unique=(("id",), ("uid",), ("name", "type_key")),
    indexes=(("type_id",),),
)

RECORDS: Final = Table(
    "records",
    (_POSITION, _ID, _REVISION, _UID, *_TYPED, _CREATED_AT, _UPDATED_AT, _CREATED_BY),
    unique=(("id",), ("uid",), ("name", "type_key")),
    indexes=(("type_id",),),
)

FEATURES: Final = Table(
    "features",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("name", doc="name"),
        Column("dtype", doc="type of its values"),
        Column("unit", null=True, doc="unit of its values"),
        Column("description", null=True, doc="free text"),
        Column("synonyms", "json", doc="other names"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",), ("name",)),
)  # fmt: skip

PROJECTS: Final = Table(
    "projects",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("name", doc="name"),
        Column("description", null=True, doc="free text"),
        Column("url", null=True, doc="where more is written about it"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",), ("name",)),
)  # fmt: skip

COLLECTIONS: Final = Table(
    "collections",
    (
        _POSITION, _ID, _REVISION, _UID,
        Column("stem", doc="the characters of the uid that all versions share"),
        Column("version_number", "int", doc="place in the family, from 0"),
        Column("is_latest", "bool", doc="no later version exists"),
        Column("version", null=True, doc="version tag"),
        Column("key", doc="name, the same for a family"),
        Column("description", null=True, doc="free text"),
        Column("hash", doc="SHA-256 over the artifacts' hashes"),
        Column("n_artifacts", "int", doc="number of artifacts"),
        Column("run_id", "id", null=True, doc="run that made it"),
        Column("transform_id", "id", null=True, doc="transform version of that run"),
        Column("revises_id", "id", null=True, doc="previous version"),
        _CREATED_AT, _UPDATED_AT, _CREATED_BY,
    ),
    unique=(("id",), ("uid",), ("stem", "version_number"), ("key", "version_number")),
    indexes=(("run_id",), ("transform_id",), ("created_by_id",)),
)  # fmt: skip

LINKS: Final = Table(
    "links",
    (
        _POSITION,
        Column("kind", doc="ulabel, record or project: put on the source; parent: of the source; member: artifact in the source"),
        Column("source_id", "id", doc="the annotated record, the child, or the collection"),
        Column("target_id", "id", doc="the label, record, project, parent, or artifact"),
        Column("place", "int", doc="order among the members of a collection, from 0; else 0"),
        Column("at", "time", doc="when"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    # An event may make several links, so that no single column is the key.
    key=("position", "place"),
    unique=(("source_id", "kind", "target_id"),),
    indexes=(("target_id", "kind", "source_id"),),
)  # fmt: skip

FEATURE_VALUES: Final = Table(
    "feature_values",
    (
        _POSITION,
        Column("place", "int", doc="order within the event, from 0"),
        Column("subject_id", "id", doc="the artifact, run or collection"),
        Column("feature_id", "id", doc="the feature"),
        Column("value", "json", doc="the value; null says that the record has the feature, without a value"),
        Column("text_value", null=True, doc="the value, if it is text, a date, a time, or the id of a category"),
        Column("number_value", "real", null=True, doc="the value, if it is a number; 1 and 0 for true and false"),
        Column("at", "time", doc="when"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    key=("position", "place"),
    unique=(("subject_id", "feature_id"),),
    indexes=(("feature_id", "number_value"), ("feature_id", "text_value")),
)  # fmt: skip

# What no longer holds is kept apart, so that queries of the present need not look past it.
_REMOVED: Final = (
    Column("removed_position", "int", doc="place in the log of the event that took it back or replaced it"),
    Column("removed_at", "time", doc="when that was"),
    Column("removed_by_id", "id", null=True, doc="who did it"),
)

PAST_LINKS: Final = Table(
    "past_links", (*LINKS.columns, *_REMOVED), key=("position", "place"), indexes=(("source_id",),)
)

PAST_FEATURE_VALUES: Final = Table(
    "past_feature_values", (*FEATURE_VALUES.columns, *_REMOVED), key=("position", "place"), indexes=(("subject_id",),)
)

VERIFICATIONS: Final = Table(
    "verifications",
    (
        _POSITION,
        Column("artifact_id", "id", doc="the artifact whose content was checked"),
        Column("outcome", doc="intact, missing or changed"),
        Column("found_hash", null=True, doc="hash of what was found"),
        Column("found_size", "int", null=True, doc="bytes that were found"),
        Column("at", "time", doc="when"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    indexes=(("artifact_id",),),
)  # fmt: skip

STORAGE_CHECKS: Final = Table(
    "storage_checks",
    (
        _POSITION,
        Column("storage_id", "id", doc="the location that was checked"),
        Column("content_read", "bool", doc="all bytes were read and compared"),
        Column("n_artifacts", "int", doc="artifacts whose content has to be there"),
        Column("n_missing", "int", doc="of which nothing was found"),
        Column("n_changed", "int", doc="whose content is not the recorded one"),
        Column("n_unchecked", "int", doc="that could not be judged"),
        Column("n_orphans", "int", doc="objects that belong to no artifact"),
        Column("orphan_bytes", "int", doc="their size"),
        Column("bytes_read", "int", doc="bytes that were read"),
        Column("started_at", "time", doc="when it began"),
        Column("at", "time", doc="when it ended"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    indexes=(("storage_id",),),
)  # fmt: skip

REMOVED_OBJECTS: Final = Table(
    "removed_objects",
    (
        _POSITION,
        Column("place", "int", doc="order within the event, from 0"),
        Column("storage_id", "id", doc="the location"),
        Column("path", doc="where the object lay, relative to the storage root"),
        Column("size", "int", doc="bytes"),
        Column("at", "time", doc="when it was given up"),
        Column("actor_id", "id", null=True, doc="who"),
    ),
    key=("position", "place"),
    indexes=(("path",),),
)  # fmt: skip

SEARCH_WORDS: Final = Table(
    "search_words",
    (
        _POSITION,
        Column("registry", doc="registry of the record"),
        Column("field", doc="field that holds the word"),
        Column("word", doc="what a search compares, see `words.py`"),
    ),
    # The words of one registry lie side by side in their order, so that those with one beginning are read in one pass.
    key=("registry", "word", "position", "field"),
    clustered=True,
)

TABLES: Final = (
    USERS, STORES, SESSIONS, STORAGES, TRANSFORMS, ENVIRONMENTS, RUNS, ARTIFACTS, EDGES, ULABELS, RECORDS, FEATURES, PROJECTS,
    COLLECTIONS, LINKS, FEATURE_VALUES, PAST_LINKS, PAST_FEATURE_VALUES, VERIFICATIONS, STORAGE_CHECKS, REMOVED_OBJECTS,
    SEARCH_WORDS,
)  # fmt: skip
"""Every projection table, in the order in which they are created and compared."""
