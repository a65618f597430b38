"""`describe()`: what is known of a record, as a tree on the terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from lineagelog.annotated import AnnotatedRecord
from lineagelog.lineage import in_notebook
from lineagelog.record import BaseRecord
from lineagelog.text import clean

if TYPE_CHECKING:
    from rich.tree import Tree

_SKIPPED = {"source_code", "error_traceback", "packages"}


def describe(record: BaseRecord) -> None:
    """Print a record."""
    from rich.console import Console

    console = Console(force_jupyter=True) if in_notebook() else Console(soft_wrap=True)
    console.print(build_tree(record))


def build_tree(record: BaseRecord) -> Tree:
    """Lay out a record as a tree: general fields, then where it comes from and where it went."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(f"{record.registry.name} {record.uid or '(not saved)'}", style="bold"))
    general = tree.add(Text("General", style="bold"))
    for name in record.registry.fields:
        value = getattr(record, name, None)
        if value in (None, "", [], {}) or name.endswith("_id") or name in _SKIPPED:
            continue
        _add(general, name, value)
    schema = record.__dict__.get("table_schema")
    if schema:
        _add_schema(tree, schema, record.__dict__.get("n_variables"))
    if not record._saved:
        return tree
    if hasattr(record, "path"):
        _add(general, "path", str(record.path))
    provenance = [(name, getattr(record, name, None)) for name in _PROVENANCE.get(record.registry.name, ())]
    branch = tree.add(Text("Provenance", style="bold"))
    for name, value in provenance:
        if value is not None:
            _add(branch, name, value)
    if not branch.children:
        tree.children.remove(branch)
    if isinstance(record, AnnotatedRecord):
        _add_annotations(tree, record)
    return tree


def _add_schema(tree: Tree, schema: Mapping[str, str], n_columns: int | None) -> None:
    """Add the columns of a table on one line, the first ones if there are many."""
    from rich.text import Text

    # Of an annotated matrix the schema tells of its frames, and the number of variables is none of columns.
    total = len(schema) if any("/" in name for name in schema) else max(len(schema), n_columns or 0)
    shown = ", ".join(clean(f"{name}: {kind}") for name, kind in islice(schema.items(), _COLUMNS))
    more = f", … and {total - _COLUMNS:,} more" if total > _COLUMNS else ""
    tree.add(Text(f"Columns ({total:,})", style="bold")).add(Text(shown + more))


def _add_annotations(tree: Tree, record: AnnotatedRecord) -> None:
    """Add what was put on the record: values of features, labels, projects."""
    from rich.text import Text

    features = record.features.to_dataframe().reset_index().to_dict("records")
    if features:
        branch = tree.add(Text("Features", style="bold"))
        for row in features:
            value = f" = {_line(row['value'])}" if row["value"] is not None else ""
            branch.add(Text(clean(f"{row['feature']}: {row['dtype']}{value} {row['unit'] or ''}".rstrip())))
    branch = tree.add(Text("Labels", style="bold"))
    for name in ("ulabels", "records", "projects"):
        _add(branch, name, getattr(record, name))
    if not branch.children:
        tree.children.remove(branch)


_PROVENANCE = {
    "Artifact": ("created_by", "run", "transform", "storage", "input_of_runs"),
    "Run": ("created_by", "transform", "initiated_by_run", "inputs", "outputs", "child_runs"),
    "Transform": ("created_by", "runs", "parents", "children"),
    "Storage": ("created_by",),
    "Collection": ("created_by", "run", "transform", "artifacts", "versions"),
    "ULabel": ("created_by", "type", "instances", "parents", "children", "artifacts", "runs", "collections"),
    "Record": ("created_by", "type", "instances", "parents", "children", "artifacts", "runs", "collections"),
    "Feature": ("created_by", "artifacts", "runs", "collections"),
    "Project": ("created_by", "artifacts", "runs", "collections"),
}
_MANY = 10
_COLUMNS = 20


def _add(branch: Tree, name: str, value: Any) -> None:
    from rich.text import Text

    from lineagelog.queryset import QuerySet

    if isinstance(value, QuerySet):
        records = list(value[:_MANY])
        if not records:
            return
        count = value.count()
        inner = branch.add(Text(f".{name} ({count})"))
        for record in records:
            inner.add(Text(_line(record)))
        if count > _MANY:
            inner.add(Text(f"… and {count - _MANY} more"))
    else:
        branch.add(Text(f".{name} = {_line(value)}"))


def _line(value: Any) -> str:
    """Write a value on one line; control characters are shown, not sent to the terminal."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(value, BaseRecord):
        named = next(
            (value.__dict__[name] for name in ("handle", "key", "root", "name") if value.__dict__.get(name)), None
        )
        status = getattr(value, "status", None)
        return clean(" ".join(str(part) for part in (value.uid, named, status) if part))
    return value if isinstance(value, str) and value.isprintable() else repr(value)
