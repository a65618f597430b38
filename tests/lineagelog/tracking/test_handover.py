from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog.projections import schema
from lineagelog.projections.rows import find
from lineagelog.registries import origin
from lineagelog.store import Store


@ln.tracked()
def load(key: str) -> pd.DataFrame:
    return ln.Artifact.get(key=key).load()


@ln.tracked()
def load_two_levels_down(key: str) -> pd.DataFrame:
    return load(key)


@ln.tracked()
def iterate(key: str) -> Iterator[pd.DataFrame]:
    yield ln.Artifact.get(key=key).load()


@ln.tracked()
async def load_later(key: str) -> pd.DataFrame:
    return ln.Artifact.get(key=key).load()


@ln.tracked()
async def iterate_later(key: str) -> AsyncIterator[pd.DataFrame]:
    yield ln.Artifact.get(key=key).load()


async def _first(key: str) -> pd.DataFrame:
    items = iterate_later(key)
    async for item in items:
        return item
    raise AssertionError


@pytest.fixture
def raw(store: Store) -> ln.Artifact:
    return ln.Artifact.from_dataframe(pd.DataFrame({"n": [1, 2]}), key="raw.parquet", run=False).save()


@pytest.mark.parametrize(
    "read",
    [
        load,
        load_two_levels_down,
        lambda key: next(iterate(key)),
        lambda key: asyncio.run(load_later(key)),
        lambda key: asyncio.run(_first(key)),
    ],
    ids=["function", "nested", "generator", "coroutine", "asynchronous generator"],
)
def test_what_a_call_read_is_in_the_lineage_of_what_its_caller_saves(
    store: Store, raw: ln.Artifact, read: Callable[[str], pd.DataFrame]
) -> None:
    with ln.Run(ln.Transform("report")) as run:
        result = ln.Artifact.from_dataframe(read("raw.parquet") * 2, key="doubled.parquet").save()
    assert run.inputs.one() == raw
    assert raw.uid in set(result.upstream()["uid"])
    assert [edge["how"] for edge in find(store.log.database, schema.EDGES, run_id=run.id, kind="used")] == ["returned"]


def test_it_is_recorded_once_and_not_again_as_what_the_caller_loads_itself(store: Store, raw: ln.Artifact) -> None:
    with ln.Run(ln.Transform("report")) as run:
        raw.load()
        load("raw.parquet")
        load("raw.parquet")
    assert [edge["how"] for edge in find(store.log.database, schema.EDGES, run_id=run.id)] == ["load"]


@pytest.mark.parametrize("returned", [None, "record", "records"])
def test_a_call_that_gives_back_nothing_but_records_hands_nothing_over(
    store: Store, raw: ln.Artifact, returned: str | None
) -> None:
    @ln.tracked()
    def work() -> Any:
        raw.load()
        return {None: None, "record": raw, "records": [{"raw": raw}, (None,)]}[returned]

    with ln.Run(ln.Transform("report")) as run:
        work()
    assert run.inputs.count() == 0
    assert run.child_runs.one().inputs.one() == raw


def test_what_the_caller_made_is_no_input_of_it_and_what_is_deleted_is_left_out(store: Store, raw: ln.Artifact) -> None:
    @ln.tracked()
    def read_and_delete() -> pd.DataFrame:
        table = raw.load()
        raw.delete(permanent=True)
        return table

    with ln.Run(ln.Transform("report")) as run:
        ln.Artifact.from_dataframe(pd.DataFrame({"n": [3]}), key="own.parquet").save()
        load("own.parquet")
        read_and_delete()
    assert run.inputs.count() == 0


def test_a_caller_that_has_ended_takes_nothing_over(store: Store, raw: ln.Artifact) -> None:
    with ln.Run(ln.Transform("report")) as run:
        run.finish()
        assert load("raw.parquet")["n"].tolist() == [1, 2]
    assert run.inputs.count() == 0


@ln.tracked()
def save(tables: Any, key: str) -> ln.Artifact:
    return ln.Artifact.from_dataframe(pd.DataFrame({"key": [key]}), key=key).save()


@ln.tracked()
def double(table: pd.DataFrame) -> pd.DataFrame:
    return table * 2


@pytest.mark.parametrize("kind", ["loaded", "in a list", "in a dictionary", "returned", "computed by a call"])
def test_what_a_call_is_given_is_in_the_lineage_of_what_it_saves(store: Store, raw: ln.Artifact, kind: str) -> None:
    given: dict[str, Callable[[], Any]] = {
        "loaded": raw.load,
        "in a list": lambda: [1, raw.load()],
        "in a dictionary": lambda: {"raw": raw.load()},
        "returned": lambda: load("raw.parquet"),
        "computed by a call": lambda: double(raw.load()),
    }
    result = save(given[kind](), "result.parquet")
    run = result.run
    assert run is not None
    assert run.inputs.one() == raw
    assert raw.uid in set(result.upstream()["uid"])
    edges = find(store.log.database, schema.EDGES, run_id=run.id, kind="used")
    assert [edge["how"] for edge in edges] == ["given"]


def test_only_what_is_recorded_as_input_and_still_there_is_known(sqlite_store: Store) -> None:
    raw = ln.Artifact.from_dataframe(pd.DataFrame({"n": [1, 2]}), key="raw.parquet", run=False).save()
    known = len(origin._known)
    table, other = raw.load(), raw.load(is_run_input=False)
    assert (len(origin.origins_of(table)), origin.origins_of(other)) == (1, frozenset())
    origin.remember(len, origin.origins_of(table))
    assert not origin.origins_of(len)
    raw.delete(permanent=True)
    run = save([table, other], "result.parquet").run
    assert run is not None
    assert run.inputs.count() == 0
    del table
    gc.collect()
    assert len(origin._known) == known
