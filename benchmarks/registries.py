"""Queries over a store of many artifacts, on SQLite: each artifact has a run and a feature value, one in a hundred a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.foundation import artifact_event, empty_store
from benchmarks.measure import Figure, median_seconds
from lineagelog import Artifact, Feature, Store, Transform, ULabel
from lineagelog.domain.annotation import FeatureValuesSet, LabelAttached
from lineagelog.domain.event import Change, NewEvent
from lineagelog.domain.ids import new_id, new_uid
from lineagelog.domain.run import RunStarted

_RUNS = 100
_BATCH = 20_000


def registries(n: int = 10_000) -> Iterator[Figure]:
    """Look records up, filter and search them, and read a table of 10,000 of them."""
    with empty_store() as store:
        label = _fill(store, n)
        first = Artifact.filter(key=_key(n // 2)).one()
        few = 20 / n

        def one() -> None:
            assert Artifact.get(first.uid).id == first.id

        def by_key() -> None:
            assert len(list(Artifact.filter(key=_key(n // 2)))) == 1

        def by_prefix() -> None:
            assert len(list(Artifact.filter(key__startswith=_key(n // 2)[:-5]))) == 10

        def by_feature() -> None:
            assert len(list(Artifact.filter(share__gte=0.5, share__lt=0.5 + few))) == 20

        def by_label() -> None:
            assert len(list(Artifact.filter(ulabels=label)[:20])) == 20

        def by_run() -> None:
            assert len(list(Artifact.filter(run__name="run 7", key__endswith="7.csv")[:20])) == 20

        def searched() -> None:
            assert Artifact.search(f"{n // 2:07d}").first() == first

        def searched_two() -> None:
            assert Artifact.search(f"csv {n // 2:07d}").first() == first

        def searched_all() -> None:
            assert len(list(Artifact.search("csv")[:20])) == 20

        def tabled() -> None:
            assert len(Artifact.to_dataframe(limit=10_000)) == 10_000

        aims: list[tuple[str, Callable[[], None], float | None, int]] = [
            ("get by uid", one, 1, 200),
            ("filter by key", by_key, 1, 200),
            ("filter by the beginning of the key, 10 found", by_prefix, 1, 200),
            ("filter by a feature value, 20 found", by_feature, 5 if n == 10_000 else None, 50),
            ("filter by a label, 20 read", by_label, None, 50),
            ("filter by the name of the run, 20 read", by_run, None, 50),
            ("search, one found", searched, 10, 50),
            ("search for two words, one of which all hold", searched_two, 10, 50),
            ("search for a word that all hold, the first 20 of the ranking", searched_all, None, 5),
            ("to_dataframe of 10,000 rows", tabled, 50, 7),
        ]
        for what, function, aim_ms, runs in aims:
            function()
            took_ms = median_seconds(function, runs) * 1e3
            aim = "none" if aim_ms is None else f"{aim_ms:g} ms"
            yield Figure(what, f"{took_ms:.2f} ms", aim, f"{n:,} artifacts", aim_ms is None or took_ms < aim_ms)


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"registries": registries}

LONG: dict[str, Callable[[], Iterator[Figure]]] = {
    "registries-hundred-thousand": partial(registries, 100_000),
    "registries-million": partial(registries, 1_000_000),
}
"""Benchmarks that take minutes, run if they are named."""


def _key(number: int) -> str:
    return f"data/{number:07d}.csv"


def _fill(store: Store, n: int) -> ULabel:
    """Append the events of `n` artifacts, and return the label that is on one in a hundred."""
    transform, storage = Transform("fill").save(), store.default_storage_id
    feature, label = Feature("share", dtype=float).save(), ULabel("checked").save()
    runs = [new_id() for _ in range(_RUNS)]
    now = "2026-01-01T00:00:00.000000Z"
    events: list[NewEvent] = [
        store.new_event(RunStarted(uid=new_uid(16), transform=transform.id, started_at=now, name=f"run {number}"), run)
        for number, run in enumerate(runs)
    ]
    for number in range(n):
        artifact = new_id()
        events.append(store.new_event(artifact_event(storage, number, runs[number % _RUNS]), artifact))
        values = {feature.id: Change(None, number / n)}
        events.append(store.new_event(FeatureValuesSet(values=values, subject="Artifact"), artifact, 2))
        if number % 100 == 0:
            fact = LabelAttached(label=label.id, registry="ULabel", subject="Artifact")
            events.append(store.new_event(fact, artifact, 3))
        if len(events) > _BATCH:
            store.append(events)
            events = []
    store.append(events)
    return label
