"""The verdict depends on what a document says, not on how: and everything that a store exports is valid."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.constraints import Report, validate
from lineagelog.exporters.export import FORMATS
from lineagelog.exporters.readers.document import PROV, Document, Statement
from lineagelog.exporters.readers.reading import FORMATS as READ
from lineagelog.exporters.readers.reading import read
from lineagelog.exporters.scope import Scope

EX = "http://example.org/"


def check(*statements: Statement) -> Report:
    document = Document(prefixes={"ex": EX})
    for statement in statements:
        document.add(None, statement)
    return validate(document)


def chain(kind: str, n: int) -> list[Statement]:
    n_rest = {"wasDerivedFrom": 3, "specializationOf": 0}[kind]
    return [Statement(kind, None, (f"{EX}{i + 1}", f"{EX}{i}", *([None] * n_rest))) for i in range(n)]


def ring(rng: random.Random, *, closed: bool) -> list[Statement]:
    """Runs that each use what the one before made, derived step by step; closed, the first uses what the last made."""
    n = rng.randrange(2, 6)
    found = []
    for i in range(n):
        made, run, before = f"{EX}e{i}", f"{EX}a{i}", f"{EX}e{(i - 1) % n}"
        found += [Statement("entity", made), Statement("activity", run, (None, None))]
        found.append(Statement("wasGeneratedBy", f"{EX}g{i}", (made, run, None)))
        if i or closed:
            found.append(Statement("used", f"{EX}u{i}", (run, before, None)))
            found.append(Statement("wasDerivedFrom", None, (made, before, run, f"{EX}g{i}", f"{EX}u{i}")))
    return found


def renamed(statement: Statement) -> Statement:
    def rename(name: str | None) -> str | None:
        return name and name.replace(EX, "urn:other:").replace("urn:other:e", "urn:other:z")

    return Statement(statement.kind, rename(statement.id), tuple(map(rename, statement.arguments)), statement.types)


def implied(statements: list[Statement]) -> list[Statement]:
    """Say again what the statements imply already."""
    found = []
    for one in statements:
        if one.kind == "wasDerivedFrom":
            found.append(Statement("wasDerivedFrom", None, (*one.arguments[:2], None, None, None)))
            found.append(Statement("used", one.arguments[4], (one.arguments[2], one.arguments[1], None)))
        elif one.kind == "wasGeneratedBy":
            found.append(Statement("wasInfluencedBy", one.id, one.arguments[:2]))
            found.append(Statement("wasGeneratedBy", None, one.arguments))
        elif one.kind == "entity":
            found += [
                Statement("alternateOf", None, (one.id, one.id)),
                Statement("wasInvalidatedBy", None, (one.id, None, None)),
            ]
        elif one.kind == "activity":
            found.append(Statement("wasStartedBy", None, (one.id, None, None, None)))
    return found


@pytest.mark.parametrize("closed", [True, False])
def test_verdict_does_not_depend_on_names_order_or_what_is_said_twice(closed: bool) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        statements = ring(rng, closed=closed)
        shuffled = rng.sample(statements, len(statements))
        for variant in (
            statements, shuffled, [renamed(one) for one in shuffled], statements + statements, implied(statements) + statements,
        ):  # fmt: skip
            report = check(*variant)
            assert report.valid is not closed, f"seed {seed}: {report.to_text()}"


def test_blank_names_stand_for_whatever_they_must_be() -> None:
    generation = Statement("wasGeneratedBy", f"{EX}g", (f"{EX}e", "_:a", None))
    assert check(generation, Statement("wasGeneratedBy", f"{EX}g", ("_:e", f"{EX}a", None))).valid
    # Once _:a is ex:a by the key, ex:a is what the other statement calls an entity.
    report = check(
        generation, Statement("wasGeneratedBy", f"{EX}g", (f"{EX}e", f"{EX}a", None)), Statement("entity", "_:a")
    )
    assert [violation.constraint for violation in report.violations] == [55]
    assert "ex:a is both" in report.violations[0].message


def test_long_chains_are_walked() -> None:
    for kind, number in (("wasDerivedFrom", 42), ("specializationOf", 52)):
        statements = [Statement("entity", f"{EX}0"), Statement("entity", f"{EX}10000"), *chain(kind, 10_000)]
        assert check(*statements).valid
        back = Statement(kind, None, (f"{EX}0", f"{EX}10000", *([None] * (len(statements[-1].arguments) - 2))))
        if kind == "wasDerivedFrom":
            # Entities in between are not stated, so they have no generation to be ordered by.
            statements += [Statement("entity", f"{EX}{i}") for i in range(1, 10_000)]
        report = check(*statements, back)
        assert [violation.constraint for violation in report.violations] == [number]
        assert len(report.violations[0].records) == 10_001
        assert len(report.to_text()) < 5_000


def test_terms_that_merge_one_after_the_other_do_so_in_one_go() -> None:
    n = 5_000
    statements = []
    for i in range(n):
        statements.append(Statement("wasGeneratedBy", f"{EX}g{i}", (f"_:{i}", f"{EX}a", None)))
        statements.append(Statement("wasGeneratedBy", f"{EX}g{i}", (f"_:{i + 1}", f"{EX}a", None)))
    # All entities are one, which one activity generated once: the names of the generations must be one, and are not.
    report = check(*statements)
    assert {violation.constraint for violation in report.violations} == {24}
    assert check(*statements[:2]).valid


def test_generations_times_usages_are_not_written_out() -> None:
    n = 20_000
    made = [Statement("wasGeneratedBy", None, (f"{EX}e", f"{EX}a{i}", None)) for i in range(n)]
    used = [Statement("used", None, (f"{EX}b{i}", f"{EX}e", None)) for i in range(n)]
    assert check(*made, *used).valid


def test_too_many_statements_are_refused() -> None:
    document = Document(max_statements=2)
    for name in ("a", "b"):
        document.add(None, Statement("entity", name))
    with pytest.raises(MalformedDocumentError, match="more than 2 statements"):
        document.add("bundle", Statement("entity", "c"))


def test_empty_collection_of_a_bundle_is_found_by_full_name() -> None:
    member = Statement("hadMember", None, (f"{EX}c", f"{EX}e"))
    assert check(Statement("entity", f"{EX}c", (), (f"{PROV}Collection",)), member).valid
    assert not check(Statement("entity", f"{EX}c", (), (f"{PROV}EmptyCollection",)), member).valid


@pytest.mark.parametrize("fmt", sorted(set(FORMATS) & set(READ)))
@pytest.mark.parametrize("scope", [None, Scope("artifact", "0000000000figure0000", "both")])
def test_every_export_of_a_store_is_valid(
    memory: Any, fmt: str, scope: Scope | None, exporting: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"export{FORMATS[fmt].suffix}"
    content, summary = exporting.with_summary(memory.log, fmt, *([scope] if scope else []))
    path.write_bytes(content)
    report = validate(read(path))
    assert report.valid, report.to_text()
    # Triples have no place for a bundle.
    assert (report.format, report.n_bundles, report.notes) == (fmt, int(fmt not in ("turtle", "n-triples")), ())
    assert report.n_statements >= summary.n_statements
    if fmt in ("prov-json", "prov-n"):
        assert report.n_statements == summary.n_statements
