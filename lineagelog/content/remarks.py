"""What is pointed out about a record that has just been saved, since it is probably not meant so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lineagelog import message
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.projections.rows import find

if TYPE_CHECKING:
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.collection import Collection
    from lineagelog.registries.transform import Transform
    from lineagelog.store import Store

_SIMILAR_KEY: Final = 0.9
_SEPARATORS: Final = {".csv": ";\t|", ".csv.gz": ";\t|", ".tsv": ",;|", ".tsv.gz": ",;|"}
_looks = iter(range(50))
"""So many new keys are compared with the others in a process: whoever saves more of them one by one is not kept waiting."""


def hint_similar_key(store: Store, artifact: Artifact) -> None:
    """Point out that the key of a new family is nearly that of another file of the same type in the same folder."""
    if artifact.key is None or artifact.version_number > 0 or next(_looks, None) is None:
        return
    from lineagelog.registries.definition import hint_similar

    folder, slash, _ = artifact.key.rpartition("/")
    end = artifact.suffix if artifact.key.endswith(artifact.suffix) else ""
    hint_similar(store, "Artifact", "key", artifact.key, start=folder + slash, end=end, least=_SIMILAR_KEY)


def hint_separator(artifact: Artifact) -> None:
    """Point out a table whose one column holds the sign that probably separates its columns."""
    (column, *others) = artifact.table_schema or ("",)
    separator = next((sign for sign in _SEPARATORS.get(artifact.suffix, "") if sign in column), None)
    if separator is None or others:
        return
    message.hint(
        f"{artifact.key or artifact.uid} is recorded with one column, {column!r}: its columns are probably separated by "
        f"{separator!r}, so read it with load(sep={separator!r}), or save it with the separator that {artifact.suffix} stands for"
    )


def warn_of_repeated_tag(record: Artifact | Transform | Collection) -> None:
    """Point out that an earlier version of the family has the same tag, by which only the newest is found from now on."""
    if record.version is None or record.version_number == 0:
        return
    registry = record.registry
    other = {"Artifact": "whose content is another", "Transform": "whose code is another"}.get(
        registry.name, "which holds other artifacts"
    )
    for row in find(
        record.store.log.database, registry.table, stem=record.uid[:-VERSION_LENGTH], version=record.version
    ):
        if row["version_number"] < record.version_number and row.get("state") != DELETED:
            message.warn(
                f"the version tag {record.version!r} is that of {row['uid']} too, {other}; give this one a tag of its own: set "
                ".version and save again"
            )
            return
