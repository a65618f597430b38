"""Build the `prov` library's document from the same statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineagelog.domain.values import parse_time
from lineagelog.domain.version import VERSION
from lineagelog.exporters.mapping.stream import open_export
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections.reader import Reader

if TYPE_CHECKING:
    from prov.model import ProvDocument


def to_prov(
    reader: Reader,
    *,
    scope: Scope = ALL,
    head_position: int,
    head_root: str,
    software: str = f"lineagelog {VERSION}",
    base: str = DEFAULT_BASE,
) -> ProvDocument:
    """Build a document of the `prov` library.

    It holds the same statements as a streamed export, all in memory (some 17 kB a record), so it is meant for small
    sub-graphs.

    Args:
        reader: One consistent view of the store.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of everything in the store.

    Returns:
        A document that describes the export and holds one bundle.

    Raises:
        RecordNotFoundError: The subject of the scope does not exist.
    """
    from prov.constants import PROV, PROV_N_MAP, XSD
    from prov.model import Literal, Namespace, ProvDocument

    export = open_export(
        reader, scope=scope, head_position=head_position, head_root=head_root, software=software, base=base
    )
    document = ProvDocument()
    namespaces: dict[str, Any] = {"prov": PROV, "xsd": XSD}
    for prefix, iri in export.prefixes.items():
        if prefix not in namespaces:
            namespaces[prefix] = document.add_namespace(Namespace(prefix, iri))
    record_types = {keyword: record_type for record_type, keyword in PROV_N_MAP.items()}

    def qualified(name: str) -> Any:
        prefix, _, local = name.partition(":")
        return namespaces[prefix][local]

    def plain(value: Value) -> Any:
        if isinstance(value, Name):
            return qualified(value)
        if isinstance(value, Day):
            return Literal(value, datatype=XSD["date"])
        return parse_time(value) if isinstance(value, Moment) else value

    records: Any = document
    for statement in export.statements:
        if isinstance(statement, Bundle):
            records = document.bundle(qualified(export.bundle))
            continue
        formal = {
            PROV[term]: plain(value)
            for field, term in statement.formal
            if (value := getattr(statement, field)) is not None
        }
        attributes = [(qualified(name), plain(value)) for name, value in statement.attributes]  # type: ignore[attr-defined]
        name = None if statement.id is None else qualified(statement.id)
        records.new_record(record_types[statement.keyword], name, formal, attributes)
    return document
