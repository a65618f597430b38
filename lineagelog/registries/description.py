"""`describe()`: what is known of a record, as a tree on the terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from lineagelog.lineage import in_notebook
from lineagelog.registries.annotated import AnnotatedRecord
from lineagelog.registries.record import BaseRecord
from lineagelog.registries.run import Run
from lineagelog.text import clean

if TYPE_CHECKING:
    from rich.tree import Tree

_SKIPPED = {"source_code", "error_traceback", "packages"}
_TOLD_IF_TRUE = {"is_type", "source_redacted", "key_is_virtual", "content_removed"}
_UNLIMITED = 10_000
_CELL = "text-align:left;vertical-align:top;padding:0.15em 0.8em 0.15em 0"


def describe(record: BaseRecord) -> None:
    """Print a record."""
    from rich.console import Console

    tree = build_tree(record)
    console = Console()
    if not in_notebook():
        if not console.is_terminal:
            # A file or pipe has no width at which a path may be cut.
            console.width = _UNLIMITED
        console.print(tree)
        return
    from IPython.display import display

    # In a notebook a console shows what it captures, unless it is told that it is in none.
    console = Console(color_system=None, width=_UNLIMITED, force_jupyter=False)
    with console.capture() as text:
        console.print(tree)
    display(_Shown(to_html(tree), text.get()))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Shown:
    """A description as notebooks take it: a page, and the text for those that show none.

    It is no tuple: IPython has a printer of its own for these, which it prefers to what the object says.
    """

    html: str
    text: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002 - IPython's interface
        return {"text/html": self.html, "text/plain": self.text}


def to_html(tree: Tree) -> str:
    """Write a record for a notebook: its name, and one row for each section and relation.

    All of it comes from a store that others write to as well, so that every text is escaped.
    """
    title, _, uid = str(tree.label).partition(" ")
    rows = "".join(
        f'<tr><th style="{_CELL};white-space:nowrap">{escape(str(section.label))}</th>'
        f'<td style="{_CELL}">{_items(section.children)}</td></tr>'
        for section in tree.children
    )
    return (
        f"<div><strong>{escape(title)}</strong> <code>{escape(uid)}</code>"
        f'<table style="margin:0.3em 0 0 0;border-collapse:collapse"><tbody>{rows}</tbody></table></div>'
    )


def _items(nodes: Iterable[Tree]) -> str:
    """Write a section: names beside their values, and what a relation leads to below its name."""
    lines = []
    for node in nodes:
        name, is_field, value = str(node.label).partition(" = ")
        text = f"{_grey(name.lstrip('.'))} {escape(value)}" if is_field else escape(name)
        if node.children:
            members = "".join(f"<div>{escape(str(child.label))}</div>" for child in node.children)
            text = f'<details><summary>{_grey(name.lstrip("."))}</summary><div style="margin-left:1.2em">{members}</div></details>'
        lines.append(f'<div style="overflow-wrap:anywhere">{text}</div>')
    return "".join(lines)


def _grey(text: str) -> str:
    return f'<span style="opacity:0.65">{escape(text)}</span>'


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
        if value is False and name in _TOLD_IF_TRUE:
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
            value = f" = {line_of(row['value'])}" if row["value"] is not None else ""
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

    from lineagelog.registries.queryset import QuerySet

    if isinstance(value, QuerySet):
        records = list(value[:_MANY])
        if not records:
            return
        count = value.count()
        inner = branch.add(Text(f".{name} ({count})"))
        for record in records:
            inner.add(Text(line_of(record)))
        if count > _MANY:
            inner.add(Text(f"… and {count - _MANY} more"))
    else:
        branch.add(Text(f".{name} = {line_of(value)}"))


def line_of(value: Any) -> str:
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
        ran = value.transform.key if isinstance(value, Run) and value._saved else None
        return clean(" ".join(str(part) for part in (value.uid, ran, named, status) if part))
    return value if isinstance(value, str) and value.isprintable() else repr(value)
