"""Blocks of statements: written in columns, they are the text that their statements are one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.domain.errors import ExportError
from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Lists, Moments, Names, Texts
from lineagelog.exporters.export import FORMATS
from lineagelog.exporters.mapping.rows import moments, names
from lineagelog.exporters.mapping.stream import Export, open_export
from lineagelog.exporters.scope import ALL
from lineagelog.exporters.statement import Activity, Bundle, Derivation, Entity, Generation, Name
from lineagelog.exporters.vocabulary import DEFAULT_BASE, store_prefixes

EARLY, LATE = "2026-11-21T09:00:00.000000Z", "2026-11-21T09:05:00.123456Z"
BUNDLE = Name("export:e1-all")


def written(fmt: str, opened: Export, blocks: list[Block]) -> str:
    return "".join(FORMATS[fmt].write(replace(opened, blocks=iter(blocks))))


def one_by_one(blocks: list[Block]) -> list[Block]:
    return [Block.of(statement) for block in blocks for statement in block.statements()]


@pytest.mark.parametrize("fmt", sorted(FORMATS))
def test_a_store_is_written_in_blocks_as_statement_by_statement(memory: Any, fmt: str) -> None:
    head = memory.log.head()
    with memory.log.database.snapshot() as reader:
        opened = open_export(
            reader, scope=ALL, head_position=head.position, head_root=head.root, software="test 1", base=DEFAULT_BASE
        )
        blocks = list(opened.blocks)
    assert max(block.size for block in blocks) > 10
    assert written(fmt, opened, blocks) == written(fmt, opened, one_by_one(blocks))


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Columns of five statements, some of which have no value."""
    return st.lists(st.none() | values, min_size=5, max_size=5)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(['"', "\\", "<&>", "\x07", "é"])
UIDS = st.from_regex(r"[A-Za-z0-9]{1,3}", fullmatch=True).map(v.local_name)
VALUES = st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS | UIDS.map(lambda uid: Name(f"run:{uid}"))


@settings(max_examples=40, deadline=None)
@given(
    columns=st.fixed_dictionaries(
        {
            "uids": some(UIDS),
            "texts": some(TEXTS),
            "values": some(VALUES),
            "times": some(st.sampled_from([EARLY, LATE])),
        }
    ),
    several=st.lists(st.lists(VALUES, max_size=3).map(tuple), min_size=5, max_size=5),
    ids=st.lists(UIDS, min_size=5, max_size=5),
)
def test_any_columns_are_written_as_their_statements(
    columns: dict[str, list[Any]], several: list[tuple[Any, ...]], ids: list[str]
) -> None:
    uids, texts, times = Names(columns["uids"], "label"), Texts(columns["texts"]), Moments(columns["times"])
    attributes = (
        (v.TYPE, v.ARTIFACT),
        (v.TYPE, uids),
        (v.LABEL, texts),
        (v.VALUE, Column(columns["values"])),
        (v.CREATED, times),
        (v.PARENT, Lists(several)),
    )
    activities = Names(["1a", None, "1a", None, None], "run")
    blocks = [
        Block(Bundle, BUNDLE),
        Block(Entity, Names(ids, "artifact"), (), attributes),
        Block(Activity, Names(ids, "run"), (times, Moments([LATE] * 5)), ((v.LABEL, texts),)),
        Block(Generation, Names(ids, "generation"), (Names(ids, "artifact"), activities, times)),
        Block(
            Derivation, None, (Names(ids, "artifact"), Name("artifact:a"), None, None, None), ((v.TYPE, v.REVISION),)
        ),
    ]
    opened = Export(store_prefixes("https://example.org", "S1"), BUNDLE, {}, iter(()))
    for fmt in FORMATS:
        assert written(fmt, opened, blocks) == written(fmt, opened, one_by_one(blocks)), fmt


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | st.text(max_size=4) | UIDS | st.from_regex(r"[0-9-]{1,3}", fullmatch=True)))
def test_uids_of_a_column_are_named_as_each_of_them_is(uids: list[str | None]) -> None:
    assert names("run", uids).values == [None if uid is None else v.local_name(uid) for uid in uids]


@pytest.mark.parametrize(
    "column",
    [[EARLY, "2026-11-21"], ["", EARLY], [EARLY[:13], EARLY[13:]], [f"{EARLY}{LATE}"], [EARLY, f"{LATE}\n"]],
    ids=["day", "empty", "halves", "two", "end of line"],
)
def test_a_column_with_a_time_of_another_form_is_refused(column: list[str]) -> None:
    with pytest.raises(ExportError, match="is not a time as the log writes it; run `prov verify`"):
        moments([None, *column])
    assert moments([None, EARLY, LATE]).values == [None, EARLY, LATE]
