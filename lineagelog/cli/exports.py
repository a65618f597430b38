"""Commands about provenance outside the store: export, validate, query."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineagelog.cli import exits
from lineagelog.cli.app import Call, command
from lineagelog.cli.moments import HELP, read_moment
from lineagelog.cli.output import Output, clean, print_error
from lineagelog.domain.errors import ExportError, ObjectMissingError

if TYPE_CHECKING:
    from lineagelog.exporters.sparql.asking import QueryResult

_TIMEOUT_S = 60.0
_LONG = 200
_HASH = 64


@command(
    "export",
    examples=(
        "prov export --all -o provenance.json",
        "prov export --subject UID --format trig -o lineage.trig",
        "prov export --subject UID --direction both --depth 2 -o lineage.provn --json",
        "prov export --all -o study.events.parquet",
        "prov export --user HANDLE --since 30d -o month.jsonld",
        "prov export --all --as-of 8 -o as-of-8.json",
    ),
    as_of=True,
    json="one object: `path`, `format`, `scope`, `bundle` (IRI), `n_statements`, `counts` (by kind of statement), `left_out`, "
    "`sha256` and `size_bytes` of the file.",
)
def export(
    call: Call,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; replaced when it is complete.")
    ],
    subject: Annotated[
        str | None, typer.Option(metavar="UID", help="Only the lineage of this artifact, run, transform or collection.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole store.")] = False,
    direction: Annotated[
        str | None, typer.Option(help="From the subject: upstream, downstream or both.  [default: upstream]")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Follow this many derivation steps from the subject, not all.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Only what belongs to this project; its name or uid.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only what this user recorded; handle or uid.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only what was recorded from then on: {HELP}.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what was recorded before; a date includes that day.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="prov-json, prov-n, prov-xml, prov-jsonld, trig, turtle, n-quads or n-triples, or a table: edges-csv, "
            "edges-parquet, events-csv or events-parquet; "
            "by default told by .json, .provn, .provx, .jsonld, .trig, .ttl, .nq, .nt, .edges.csv, "
            ".edges.parquet, .events.csv or .events.parquet.",
        ),
    ] = None,
) -> None:
    """Write provenance as W3C PROV, or as a table.

    It is that of the whole store, or of a part of it: the lineage of one record, a project, a user, a time, or what several of
    these have in common. A part says how much was left out. The export itself is put on record.
    """
    part = [option is not None for option in (subject, project, user, since, until)]
    if all_ and any(part):
        raise typer.BadParameter("--all is the whole store; leave it out where --subject and the like choose a part")
    if not all_ and not any(part):
        raise typer.BadParameter(
            "choose what to export: either --all, or one or more of --subject, --project, --user, --since and --until"
        )
    if subject is None and (direction is not None or depth is not None):
        raise typer.BadParameter(
            "--direction and --depth say how to follow lineage from a record; name it with --subject UID"
        )
    from lineagelog.exporters.formats.table import TABLES

    now = datetime.now(UTC)
    with call.store() as store:
        summary = store.export(
            output,
            format=format_,
            subject=subject,
            direction=direction,
            max_depth=depth,
            project=project,
            user=user,
            since=None if since is None else read_moment(since, "--since", now=now),
            until=None if until is None else read_moment(until, "--until", now=now, end_of_day=True),
        )
    if call.out.json:
        call.out.object(
            {
                "path": str(output),
                "format": summary.format,
                "scope": summary.scope,
                "bundle": summary.bundle,
                "n_statements": summary.n_statements,
                "counts": summary.counts,
                "left_out": summary.left_out,
                "sha256": summary.sha256,
                "size_bytes": summary.size_bytes,
            }
        )
        return
    what = "rows" if summary.format in TABLES else "PROV statements"
    call.out.say(f"wrote {summary.n_statements:,} {what} ({summary.scope}) as {summary.format} to {output}")
    call.out.say("; ".join(f"{kind} {count:,}" for kind, count in summary.counts.items()))
    left_out = "; ".join(f"{kind} {count:,}" for kind, count in summary.left_out.items() if count)
    call.out.say(f"left out: {left_out or 'nothing'}")


@command(
    "vocabulary",
    examples=("prov vocabulary -o vocabulary.ttl", "prov vocabulary --shapes -o shapes.ttl"),
    json="one object: `path`, or `turtle` if no file is named.",
)
def vocabulary(
    call: Call,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; printed without it.")
    ] = None,
    shapes: Annotated[bool, typer.Option("--shapes", help="The shapes that exports have (SHACL) instead.")] = False,
) -> None:
    """Write the vocabulary of exports.

    It is OWL in Turtle: the classes, properties and roles with the prefix ll:, tied to those of PROV. The shapes say what an export
    holds of each record, for checks with SHACL.
    """
    from lineagelog.exporters.ontology import SHAPES, VOCABULARY, ontology_text
    from lineagelog.writing import written_whole

    text = ontology_text(SHAPES if shapes else VOCABULARY)
    if output is None:
        call.out.object({"turtle": text}) if call.out.json else call.out.text(text)
        return
    with written_whole(output, f"the vocabulary cannot be written to {output}") as out:
        out.write(text.encode())
    if call.out.json:
        call.out.object({"path": str(output)})
    else:
        call.out.say(f"wrote {output}")


@command(
    "validate",
    examples=("prov validate provenance.json", "prov validate provenance.trig provenance.json --json"),
    json="one object for each file: `path`, `valid`, `format`, `n_statements`, `n_bundles`, `violations` (a list of "
    "`constraint`, `title`, `message`, `records`, `bundle`, `cycle`), `notes`, `warnings`.",
)
def validate(
    call: Call,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PROV documents, from whichever program.")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="prov-json, prov-jsonld, prov-n, prov-xml, turtle, trig, n-triples, n-quads or rdf-xml; "
            "by default told by suffix and content.",
        ),
    ] = None,
    times: Annotated[
        bool, typer.Option("--times", help="Also warn of times that contradict the order of events.")
    ] = False,
    max_statements: Annotated[
        int, typer.Option(min=1, help="Refuse documents of more statements; each takes about 2 KB of memory.")
    ] = 1_000_000,
) -> None:
    """Check PROV documents against PROV-CONSTRAINTS.

    Each violation names the constraint and the records that break it. Nothing is fetched. The exit code is 0 if all documents are
    valid, 8 if one is not, and 3 or 4 if one is missing or cannot be read.
    """
    from lineagelog.validation import validate_prov

    unreadable, invalid = exits.DONE, exits.DONE
    for path in files:
        try:
            report = validate_prov(path, format=format_, times=times, max_statements=max_statements)
        except (ExportError, ObjectMissingError) as exc:
            # One file that cannot be read does not keep the others from being checked.
            code = exits.exit_code(exc)
            print_error(str(exc), kind=type(exc).__name__, code=code, as_json=call.out.json)
            unreadable = unreadable or code
            continue
        if not report.valid:
            invalid = exits.INVALID
        if call.out.json:
            call.out.object({"path": str(path)} | report.to_dict())
        elif not (call.out.quiet and report.valid and not report.warnings):
            call.out.text(f"{path}: {report.to_text()}")
    if unreadable or invalid:
        raise typer.Exit(unreadable or invalid)


@command(
    "query",
    examples=(
        'prov query "SELECT ?run ?data WHERE { ?run prov:used ?data }"',
        'prov query "ASK { ?data a prov:Entity }" --json',
        'prov query "SELECT (count(*) AS ?n) WHERE { ?s ?p ?o }" --on provenance.trig --csv',
        'prov query "SELECT ?data WHERE { ?data a prov:Entity }" --as-of 8',
        "prov query --list",
        "prov query --named who-touched --about UID",
        "prov query --named deleted --on provenance.trig --csv",
    ),
    as_of=True,
    json="for SELECT one object a line, variable to value; for ASK one object: `answer`; for CONSTRUCT and DESCRIBE one object: "
    "`turtle`; with --list one object a line: `name`, `question`, `about`, `sparql`.",
)
def query(
    call: Call,
    sparql: Annotated[
        str | None, typer.Argument(metavar="SPARQL", help="The question; prefixes such as prov: are known.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the question from a file.")
    ] = None,
    named: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ask a question that auditors ask; --list shows them.")
    ] = None,
    about: Annotated[
        str | None, typer.Option(metavar="KEY|UID", help="The artifact that the named question is about.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the named questions.")] = False,
    on: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask this export (.trig or .nq) instead of the store.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Give up after so many seconds.")] = _TIMEOUT_S,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answer of a SELECT as CSV.")] = False,
) -> None:
    """Ask a SPARQL question.

    It is about the store's provenance, or about an export. The first question of a store makes an index in the cache folder, which
    later ones bring up to date.
    """
    if list_:
        if any(option is not None for option in (sparql, file, named, about, on)):
            raise typer.BadParameter("--list asks nothing; leave the question out")
        _list_named(call.out)
        return
    if as_csv and call.out.json:
        raise typer.BadParameter("--csv and --json are two formats; choose one")
    if sum(option is not None for option in (sparql, file, named)) != 1:
        raise typer.BadParameter(
            "give the question as an argument, with -f FILE, or with --named NAME (--list shows them)"
        )
    if about is not None and named is None:
        raise typer.BadParameter("--about goes with --named NAME")
    question = _read(file) if file is not None else sparql
    if on is not None:
        if call.as_of is not None:
            raise typer.BadParameter("--as-of is about the store; an export given with --on is of one moment already")
        from lineagelog.exporters.sparql.asking import query as ask
        from lineagelog.exporters.sparql.cookbook import ask_named

        result = (
            ask(on, str(question), timeout_s=timeout)
            if named is None
            else ask_named(on, named, about, timeout_s=timeout)
        )
    else:
        with call.store() as store:
            result = store.sparql(question, named=named, about=about, timeout_s=timeout, on_disk=True)
    if as_csv and result.kind != "select":
        raise typer.BadParameter("--csv is for the rows of a SELECT; leave it out for ASK, CONSTRUCT and DESCRIBE")
    _print_result(call.out, result, as_csv=as_csv)


def _list_named(out: Output) -> None:
    from lineagelog.exporters.sparql.cookbook import named_queries

    queries = named_queries().values()
    if out.json:
        out.objects(query._asdict() for query in queries)
        return
    for query in queries:
        out.line(f"{query.name}{' --about KEY|UID' if query.about else ''}")
        out.line(f"    {query.question}")


def _print_result(out: Output, result: QueryResult, *, as_csv: bool) -> None:
    if result.kind == "ask":
        if out.json:
            out.object({"answer": result.answer})
        else:
            out.line("yes" if result.answer else "no")
    elif result.kind == "graph":
        if out.json:
            out.object({"turtle": result.text})
        else:
            out.text(result.text or "")
    elif out.json:
        out.objects(dict(zip(result.columns, row, strict=True)) for row in result.rows)
    elif as_csv:
        _print_csv(result)
    elif out.is_piped:
        if not out.table(result.columns, result.rows, whole=result.columns):
            out.say("no solutions")
    else:
        _print_table(out, result)


def _print_table(out: Output, result: QueryResult) -> None:
    """Print rows for people: names of records and terms without the beginning that all of them share, long texts cut short."""
    from lineagelog.exporters.vocabulary import shorten

    rows = [[shorten(value) if isinstance(value, str) else value for value in row] for row in result.rows]
    names, long = set(), set()
    for before, after in zip(result.rows, rows, strict=True):
        for column, value, shown in zip(result.columns, before, after, strict=True):
            if value != shown:
                names.add(column)
            elif isinstance(value, str) and (len(value) > _LONG or (len(value) >= _HASH and " " not in value)):
                long.add(column)
    if not rows:
        out.say("no solutions")
    elif out.fits(result.columns, rows, whole=names - long, cut=long):
        out.table(result.columns, rows, whole=names - long, cut=long)
    else:
        # Beside one another the columns would break; below one another each row is a paragraph.
        for number, row in enumerate(rows):
            if number:
                out.line("")
            out.fields({name: value for name, value in zip(result.columns, row, strict=True) if value is not None})


def _print_csv(result: QueryResult) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([_csv_value(value) for value in row] for row in result.rows)
    sys.stdout.write(text.getvalue())


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return clean(value, keep="\n\t") if isinstance(value, str) else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ObjectMissingError(f"the question {path} cannot be read: {exc}") from exc
