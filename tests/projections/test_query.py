"""Queries give, on both databases, what a plain Python filter gives over the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.annotation import (
    FeatureDefined,
    FeatureValuesSet,
    LabelAttached,
    LabelDefined,
    ParentAdded,
    ProjectAssigned,
    ProjectCreated,
    RecordDefined,
)
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactSeenAgain
from lineagelog.domain.collection import CollectionRegistered
from lineagelog.domain.errors import InvalidValueError, UnknownFieldError
from lineagelog.domain.event import Change, Event, NewEvent
from lineagelog.domain.ids import Id, new_id, new_uid, versioned_uid
from lineagelog.domain.run import InputAccessed, RunFailed, RunFinished, RunStarted
from lineagelog.domain.storage import StorageRegistered
from lineagelog.domain.transform import TransformRegistered
from lineagelog.domain.user import UserRegistered
from lineagelog.projections.features import FeatureType, read_features
from lineagelog.projections.functions import lower_text
from lineagelog.projections.query import Q, Query, related
from lineagelog.projections.registry import ARTIFACT, COLLECTION, REGISTRIES, RUN, TRANSFORM, ULABEL, USER, Registry
from lineagelog.projections.schema import EDGES, FEATURE_VALUES, LINKS

HOSTILE = (
    "plain", "Plain", "100%", "a_b", "it's", 'say "hi"', "'; DROP TABLE users;--", "back\\slash", "?", "%s", ":name", "Straße",
    "STRASSE", "ÉCLAIR", "éclair", "İstanbul", "istanbul", "ΟΔΟΣ", "οδος", "οδοσ", "ﬁ", "Ǆ", "𐐀", "日本語", "🧬 gene",
    "x" * 80, "[a-z]",
)  # fmt: skip
PARAMS: tuple[dict[str, Any], ...] = (
    {},
    {"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.999], "lr": 1}},
    {"lr": 1, "optimizer": {"name": "Adam", "lr": 1.0}, "flag": True},
    {"lr": "1", "optimizer": "adam", "flag": 1},
    {"lr": True, "optimizer": None, "flag": "true"},
    {"lr": None, "optimizer": ["adam", {"lr": 0.1}], "0": "zero"},
    {'a"b': 1, "a.b": 2, "$": 3, "é": "É", "a\\b": {"'": "q"}, "?": "?"},
    {"lr": [1, 0.1, "1", None, True], "flag": False},
    {"lr": 1e-9, "optimizer": {"lr": -5, "name": ""}},
    {"lr": "0.1", "optimizer": {"lr": 2**53, "name": "it's"}},
)


FEATURES = {
    "count": "int", "gc content": "float", "note": "str", "flag": "bool", "day": "date", "moment": "datetime", "study": "dict",
    "tags": "list", "group": "cat", "cell__type": "cat[ULabel]", "sample": "cat[Record]", "key": "str",
}  # fmt: skip


@dataclass
class Store:
    """A filled log, and its rows as Python sees them."""

    log: EventLog
    rows: dict[str, list[dict[str, Any]]]
    between: dict[str, list[dict[str, Any]]]

    def run(self, query: Query) -> list[dict[str, Any]]:
        database = self.log.database
        sql, parameters = query.compile(database.dialect)
        names = query.registry.table.names
        return [dict(zip(names, row, strict=True)) for row in database.read(sql, parameters)]

    def uids(self, query: Query) -> list[str]:
        return [row["uid"] for row in self.run(query)]

    def query(self, registry: Registry) -> Query:
        return Query(registry, features=lambda: read_features(self.log.database))

    def measured(self, row: dict[str, Any], name: str) -> Any:
        """Find the value of a feature as a condition sees it: of a category the row, `None` if there is none."""
        feature = next(feature for feature in self.rows["Feature"] if feature["name"] == name)
        ours = (row["id"], feature["id"])
        values = [v for v in self.between["feature_values"] if (v["subject_id"], v["feature_id"]) == ours]
        value = json.loads(values[0]["value"]) if values else None
        target = {"cat[ULabel]": "ULabel", "cat[Record]": "Record"}.get(feature["dtype"])
        return value if target is None else next((one for one in self.rows[target] if one["id"] == value), None)

    def count(self, query: Query) -> int:
        sql, parameters = query.compile_count(self.log.database.dialect)
        ((count,),) = self.log.database.read(sql, parameters)
        return int(count)

    def exists(self, query: Query) -> bool:
        sql, parameters = query.compile_exists(self.log.database.dialect)
        ((exists,),) = self.log.database.read(sql, parameters)
        return bool(exists)

    def related(self, registry: Registry, row: dict[str, Any], name: str) -> list[dict[str, Any]]:
        relation = registry.relations[name]
        others = self.rows[relation.target]
        through = relation.through
        if through is None:
            key = row[relation.column]
            return [] if key is None else [other for other in others if other[relation.target_column] == key]
        links = [link for link in self.between[through.table.name] if link[through.near] == row["id"]]
        links = [link for link in links if not through.kinds or link["kind"] in through.kinds]
        places = {link[through.far]: link.get(through.order, 0) for link in links}
        return sorted((other for other in others if other["id"] in places), key=lambda other: places[other["id"]])


@pytest.fixture
def store(log: EventLog) -> Store:
    return fill(log)


def fill(log: EventLog) -> Store:
    events: list[NewEvent] = []
    versions: dict[Id, int] = {}

    def add(fact: Event, stream: Id | None = None, actor: Id | None = None) -> Id:
        stream = stream or new_id()
        versions[stream] = versions.get(stream, 0) + 1
        events.append(NewEvent(stream=stream, version=versions[stream], fact=fact, actor=actor))
        return stream

    users = [
        add(UserRegistered(uid=new_uid(8), handle=handle, name=name))
        for handle, name in (("ada", "Ada Łovelace"), ("bob", None), ("eve", "it's 100%"))
    ]
    storage = add(StorageRegistered(uid=new_uid(12), root="/data", type="local"), actor=users[0])
    transforms = [
        add(
            TransformRegistered(
                uid=versioned_uid(new_uid(12), 0), version_number=0, key=key, type=kind, description=description
            ),
            actor=users[n % 3],
        )
        for n, (key, kind, description) in enumerate(
            (("Clean.py", "script", None), ("train.ipynb", "notebook", "Straße"), ("ÉCLAIR", "pipeline", "100%"))
        )
    ]
    artifacts: list[Id] = []
    runs: list[Id] = []
    for n, params in enumerate(PARAMS):
        run = add(
            RunStarted(
                uid=new_uid(16), transform=transforms[n % 3], started_at=f"2026-11-{10 + n}T23:59:59.999999Z",
                name=HOSTILE[n] if n % 3 else None, params=params, initiated_by=runs[0] if n in (3, 4) else None,
            ),
            actor=users[n % 2],
        )  # fmt: skip
        for artifact in artifacts[-5::2]:
            add(InputAccessed(artifact=artifact, how="load", accessed_at="2026-11-20T00:00:00.000000Z"), run)
        for m in range(3):
            text = HOSTILE[(3 * n + m) % len(HOSTILE)]
            artifacts.append(
                add(
                    ArtifactRegistered(
                        uid=versioned_uid(new_uid(16), 0), version_number=0, storage=storage, path=f"p{n}-{m}",
                        size_bytes=(7 * n + m) ** 4, hash=f"{3 * n + m:064x}", key=f"{text}/{n}-{m}" if m else None,
                        description=text if m != 1 else None, suffix=(".csv", ".parquet", "")[m],
                        n_observations=n if m == 1 else None, run=run if n % 4 else None,
                        transform=transforms[n % 3] if n % 4 else None,
                    ),
                    actor=users[m],
                )
            )  # fmt: skip
        if n == 5:
            add(ArtifactSeenAgain(run=run), artifacts[2])
        if n % 2:
            add(RunFinished(finished_at="2026-11-21T00:00:00.000000Z"), run)
        elif n % 4:
            add(RunFailed(finished_at="2026-11-21T00:00:00.000001Z", error_type="E", message=HOSTILE[n]), run)
        runs.append(run)
    annotate(add, users, artifacts, runs)
    log.append(events)

    def read(table: Any) -> list[dict[str, Any]]:
        rows = log.database.read(f"SELECT {', '.join(table.names)} FROM {table.name} ORDER BY position")
        return [dict(zip(table.names, row, strict=True)) for row in rows]

    between = {table.name: read(table) for table in (EDGES, LINKS, FEATURE_VALUES)}
    return Store(log, {name: read(registry.table) for name, registry in REGISTRIES.items()}, between)


def annotate(add: Callable[..., Id], users: list[Id], artifacts: list[Id], runs: list[Id]) -> None:
    """Define labels, records, features, projects and collections, and put them on some of the rows."""
    labels: list[Id] = []
    records: list[Id] = []
    for made, defined, registry, width in (
        (labels, LabelDefined, "ULabel", 8), (records, RecordDefined, "Record", 16)
    ):  # fmt: skip
        for n, name in enumerate(("Kind", *HOSTILE[:8])):
            fact = defined(uid=new_uid(width), name=name, is_type=n == 0, type=made[0] if n in (1, 2, 5) else None)
            made.append(add(fact, actor=users[n % 3]))
        for child, parent in ((2, 1), (3, 1), (3, 2), (4, 3)):
            add(ParentAdded(parent=made[parent], registry=registry), made[child])
    projects = [add(ProjectCreated(uid=new_uid(12), name=name)) for name in HOSTILE[8:11]]
    collections = [
        add(
            CollectionRegistered(
                uid=versioned_uid(new_uid(16), 0), version_number=0, key=name, artifacts=members, hash=f"{n:064x}",
                run=runs[n], transform=None,
            ),
            actor=users[n],
        )
        for n, (name, members) in enumerate((("up", artifacts[3:7]), ("down", artifacts[9:4:-1]), ("none", [])))
    ]  # fmt: skip
    subjects = [(one, "Artifact") for one in artifacts[::2]] + [(one, "Run") for one in runs[1::3]]
    for n, (subject, registry) in enumerate([*subjects, (collections[1], "Collection")]):
        for label in {labels[1 + n % 4], labels[1 + n % 3]}:
            add(LabelAttached(label=label, registry="ULabel", subject=registry), subject)
        if n % 3:
            add(LabelAttached(label=records[1 + n % 5], registry="Record", subject=registry), subject)
        if n % 4 == 1:
            add(ProjectAssigned(project=projects[n % 2], subject=registry), subject)
    features = {
        name: add(FeatureDefined(uid=new_uid(12), name=name, dtype=dtype), actor=users[0])
        for name, dtype in FEATURES.items()
    }  # fmt: skip
    for n, (subject, registry) in enumerate([*subjects, (collections[0], "Collection")]):
        values: dict[str, Any] = {
            "count": (7 * n) % 5 - 2, "gc content": (0.1, 0.5, 1, -3, 1e-9)[n % 5], "note": HOSTILE[n % len(HOSTILE)],
            "flag": n % 2 == 0, "day": f"2026-11-{10 + n % 5}", "moment": f"2026-11-{10 + n % 5}T00:00:00.000000Z",
            "study": PARAMS[n % len(PARAMS)], "tags": [HOSTILE[n % 9], n], "group": HOSTILE[n % 9],
            "cell__type": labels[1 + n % 4], "sample": records[1 + n % 3],
        }  # fmt: skip
        kept = {features[name]: Change(None, value) for m, (name, value) in enumerate(values.items()) if (n + m) % 3}
        add(FeatureValuesSet(values=kept, subject=registry), subject)
    # A label that is on a run alone leads to no artifact.
    add(LabelAttached(label=labels[8], registry="ULabel", subject="Run"), runs[0])


# The oracle: conditions as plain Python.

MISSING = object()


def lowered(text: str) -> str:
    return str(lower_text(text))


TEXT_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "iexact": lambda a, b: lowered(a) == lowered(b),
    "contains": lambda a, b: b in a,
    "icontains": lambda a, b: lowered(b) in lowered(a),
    "startswith": lambda a, b: a.startswith(b),
    "istartswith": lambda a, b: lowered(a).startswith(lowered(b)),
    "endswith": lambda a, b: a.endswith(b),
    "iendswith": lambda a, b: lowered(a).endswith(lowered(b)),
}
ORDER_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": lambda a, b: a == b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def holds(value: Any, lookup: str, wanted: Any) -> bool:
    """Tell what a condition says about one stored value."""
    if lookup == "isnull":
        return (value is None) is wanted
    if lookup == "in":
        return any(holds(value, "exact", one) for one in wanted)
    if lookup == "exact" and wanted is None:
        return value is None
    if value is None:
        return False
    if lookup == "range":
        return holds(value, "gte", wanted[0]) and holds(value, "lte", wanted[1])
    if lookup == "contains" and isinstance(value, list):
        return any(holds(item, "exact", wanted) for item in value)
    if lookup == "contains" and not isinstance(value, str):
        return False
    if kind_of(value) != kind_of(wanted):
        return False
    return {**TEXT_TESTS, **ORDER_TESTS}[lookup](value, wanted)


def kind_of(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else type(value).__name__


def matches(store: Store, registry: Registry, row: dict[str, Any], name: str, wanted: Any) -> bool:
    head, *rest = name.split("__")
    if head in registry.relations:
        others = store.related(registry, row, head)
        if rest == ["isnull"]:
            return (not others) is wanted
        target = REGISTRIES[registry.relations[head].target]
        if not rest:
            return any(other["id"] == wanted or other["uid"] == wanted for other in others)
        return any(matches(store, target, other, "__".join(rest), wanted) for other in others)
    lookups = {"isnull", "in", "range", *TEXT_TESTS, *ORDER_TESTS}
    lookup = rest.pop() if rest and rest[-1] in lookups else "exact"
    column = registry.find_column(head)
    if column is None:
        while head not in FEATURES:
            head += f"__{rest.pop(0)}"
        value = store.measured(row, head)
        if isinstance(value, dict) and "[" in FEATURES[head]:
            target = REGISTRIES[FEATURES[head][4:-1]]
            return matches(store, target, value, "__".join([*(rest or ["name"]), lookup]), wanted)
        if value is None and FEATURES[head].startswith("cat"):
            return not rest and holds(None, lookup, wanted)
    else:
        value = row[column.name]
        if column.kind == "json":
            value = json.loads(value)
    if column is None or column.kind == "json":
        for part in rest:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]*", part) and int(part) < len(value):
                value = value[int(part)]
            else:
                value = None
    elif column.kind == "bool" and value is not None:
        value = bool(value)
    return holds(value, lookup, wanted)


Tree = tuple[Any, ...]


def to_q(tree: Tree) -> Q:
    kind, *parts = tree
    if kind == "leaf":
        return Q(**{parts[0]: parts[1]})
    if kind == "not":
        return ~to_q(parts[0])
    left, right = map(to_q, parts)
    return left & right if kind == "and" else left | right


def true_of(store: Store, registry: Registry, row: dict[str, Any], tree: Tree) -> bool:
    kind, *parts = tree
    if kind == "leaf":
        return matches(store, registry, row, *parts)
    found = [true_of(store, registry, row, part) for part in parts]
    return not found[0] if kind == "not" else all(found) if kind == "and" else any(found)


fragments = st.sampled_from(HOSTILE).flatmap(
    lambda text: st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(
        lambda ends: text[min(ends) : max(ends)]
    )
)
texts = st.one_of(
    fragments, st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=3)
)
# Beyond 2**53 a float is no longer the number that JSON writes for it.
numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e6, 1e6), st.sampled_from([0.1, 1, 1.0, 1e-9, 2**53]))
scalars = st.one_of(texts, numbers, st.booleans())


def text_leaves(name: str) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.just("leaf"), st.sampled_from([f"{name}__{lookup}" for lookup in TEXT_TESTS]), texts),
        st.tuples(st.just("leaf"), st.sampled_from([f"{name}__{o}" for o in ORDER_TESTS] + [name]), texts),
        st.tuples(st.just("leaf"), st.just(f"{name}__in"), st.lists(st.one_of(texts, st.none()), max_size=4)),
        st.tuples(st.just("leaf"), st.just(f"{name}__isnull"), st.booleans()),
        st.tuples(st.just("leaf"), st.just(f"{name}__range"), st.tuples(texts, texts)),
    )


def number_leaves(name: str) -> st.SearchStrategy[Tree]:
    values = st.integers(-10, 3_000_000)
    return st.one_of(
        st.tuples(st.just("leaf"), st.sampled_from([f"{name}__{lookup}" for lookup in ORDER_TESTS]), values),
        st.tuples(st.just("leaf"), st.just(f"{name}__in"), st.lists(values, max_size=4)),
        st.tuples(st.just("leaf"), st.just(f"{name}__range"), st.tuples(values, values)),
        st.tuples(st.just("leaf"), st.just(f"{name}__isnull"), st.booleans()),
    )


def json_leaves(prefix: str) -> st.SearchStrategy[Tree]:
    paths = st.sampled_from([
        "lr", "optimizer", "optimizer__lr", "optimizer__name", "optimizer__betas__0", "optimizer__1__lr", "flag", "0", "lr__0",
        "lr__4", "lr__-1", "lr__01", 'a"b', "a.b", "$", "é", "a\\b__'", "?", "nothing__there",
    ])  # fmt: skip
    leaf = st.one_of(
        st.tuples(st.just(""), scalars),
        st.tuples(st.sampled_from([f"__{lookup}" for lookup in TEXT_TESTS]), texts),
        st.tuples(st.sampled_from(["__gt", "__gte", "__lt", "__lte"]), st.one_of(texts, numbers)),
        st.tuples(st.just("__contains"), st.one_of(texts, numbers, st.booleans())),
        st.tuples(st.just("__in"), st.lists(st.one_of(scalars, st.none()), max_size=4)),
        st.tuples(st.just("__isnull"), st.booleans()),
    )
    return st.tuples(paths, leaf).map(lambda drawn: ("leaf", f"{prefix}__{drawn[0]}{drawn[1][0]}", drawn[1][1]))


def negated(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Stand alone, so that conditions on a many-valued relation do not join into one related row."""
    return leaves.map(lambda leaf: ("not", leaf))


def trees(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)
        ),
        max_leaves=5,
    )


run_leaves = st.one_of(
    text_leaves("name"), json_leaves("params"), text_leaves("transform__description"), text_leaves("created_by__name"),
    json_leaves("initiated_by_run__params"), negated(number_leaves("inputs__size")), negated(text_leaves("outputs__key")),
)  # fmt: skip
artifact_leaves = st.one_of(
    text_leaves("key"), text_leaves("description"), number_leaves("size"), number_leaves("n_observations"),
    text_leaves("run__name"), text_leaves("run__transform__name"), json_leaves("run__params"),
    st.tuples(st.just("leaf"), st.just("run__isnull"), st.booleans()),
    negated(text_leaves("input_of_runs__name")), negated(json_leaves("output_of_runs__params")),
    negated(text_leaves("input_of_runs__outputs__key")), negated(text_leaves("ulabels__name")),
    negated(text_leaves("records__parents__name")), negated(text_leaves("projects__runs__ulabels__type__name")),
    negated(text_leaves("collections__artifacts__description")),
    st.tuples(st.just("leaf"), st.sampled_from(["ulabels__isnull", "projects__isnull"]), st.booleans()),
)  # fmt: skip
days = st.integers(8, 16).map(lambda day: f"2026-11-{day:02d}")
feature_leaves = st.one_of(
    number_leaves("count"), number_leaves("inputs__count"), text_leaves("note"), json_leaves("study"), text_leaves("group"),
    st.tuples(
        st.just("leaf"), st.sampled_from([f"gc content__{lookup}" for lookup in ORDER_TESTS]),
        st.sampled_from([0.1, 0.5, 1, 0, 1e-9]),
    ),
    st.tuples(st.just("leaf"), st.just("gc content__in"), st.lists(st.sampled_from([0.1, 0.5, 1, 1.0, -3, None, 1e-9]))),
    st.tuples(st.just("leaf"), st.sampled_from([f"day__{lookup}" for lookup in ORDER_TESTS]), days),
    st.tuples(st.just("leaf"), st.just("day__range"), st.tuples(days, days)),
    st.tuples(
        st.just("leaf"), st.sampled_from([f"moment__{lookup}" for lookup in ORDER_TESTS]),
        days.map(lambda day: f"{day}T00:00:00.000000Z"),
    ),
    st.tuples(st.just("leaf"), st.sampled_from(["flag", "flag__isnull", "study__isnull", "day__isnull"]), st.booleans()),
    st.tuples(st.just("leaf"), st.just("flag__in"), st.lists(st.sampled_from([True, False, None]))),
    st.tuples(st.just("leaf"), st.sampled_from(["tags__0", "tags__0__icontains"]), texts),
    st.tuples(st.just("leaf"), st.sampled_from(["cell__type", "sample", "sample__name"]), st.sampled_from(HOSTILE[:8])),
    st.tuples(
        st.just("leaf"), st.sampled_from([f"{f}__{lookup}" for f in ("cell__type", "sample") for lookup in TEXT_TESTS]), texts
    ),
    st.tuples(st.just("leaf"), st.just("sample__in"), st.lists(st.sampled_from([*HOSTILE[:8], None]), max_size=4)),
    st.tuples(st.just("leaf"), st.sampled_from(["cell__type__isnull", "sample__isnull", "sample__parents__isnull"]), st.booleans()),
    st.tuples(st.just("leaf"), st.just("cell__type__parents__name"), st.sampled_from(HOSTILE[:8])),
)  # fmt: skip
measured_artifact_leaves = st.one_of(
    feature_leaves.filter(lambda leaf: not leaf[1].startswith("inputs")), artifact_leaves
)
measured_run_leaves = st.one_of(negated(feature_leaves), run_leaves)
EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize(
    ("registry", "leaves"),
    [
        (RUN, run_leaves),
        (ARTIFACT, artifact_leaves),
        (RUN, measured_run_leaves),
        (ARTIFACT, measured_artifact_leaves),
        (COLLECTION, feature_leaves.filter(lambda leaf: not leaf[1].startswith("inputs"))),
    ],
    ids=["Run", "Artifact", "Run with features", "Artifact with features", "Collection with features"],
)
def test_queries_agree_with_a_python_filter(store: Store, registry: Registry, leaves: st.SearchStrategy[Tree]) -> None:
    @EXAMPLES
    @given(st.lists(st.tuples(st.booleans(), trees(leaves)), min_size=1, max_size=2))
    def check(calls: list[tuple[bool, Tree]]) -> None:
        query = store.query(registry)
        expected = store.rows[registry.name]
        for keep, tree in calls:
            query = query.filter(to_q(tree)) if keep else query.exclude(to_q(tree))
            expected = [row for row in expected if true_of(store, registry, row, tree) is keep]
        assert store.run(query) == expected
        assert store.count(query) == len(expected)
        assert store.exists(query) is bool(expected)

    check()


def test_conditions_in_one_call_mean_the_same_related_row(store: Store) -> None:
    for run in store.rows["Run"]:
        inputs = store.related(RUN, run, "inputs")
        pairs = [(a, b) for a in inputs for b in inputs if a["size"] < b["size"]]
        if pairs:
            break
    small, large = pairs[0]
    together = Query(RUN).filter(inputs__size=small["size"], inputs__hash=large["hash"])
    apart = Query(RUN).filter(inputs__size=small["size"]).filter(inputs__hash=large["hash"])
    joined = Query(RUN).filter(Q(inputs__size=small["size"]) & (Q(inputs__hash=large["hash"]) | Q(inputs__key="none")))
    assert run["uid"] not in store.uids(together)
    assert run["uid"] not in store.uids(joined)
    assert run["uid"] in store.uids(apart)
    # What is turned around twice keeps to itself.
    twice = Query(RUN).filter(~~Q(inputs__size=small["size"]) & ~~Q(inputs__hash=large["hash"]))
    assert run["uid"] in store.uids(twice)
    assert run["uid"] in store.uids(Query(RUN).filter(inputs__size=small["size"], inputs__hash=small["hash"]))


def test_a_relation_is_compared_with_a_record_an_id_a_uid_or_a_query(store: Store) -> None:
    artifact = next(row for row in store.rows["Artifact"] if row["run_id"])
    run = next(row for row in store.rows["Run"] if row["id"] == artifact["run_id"])

    class Run:
        id = run["id"]

    expected = [row["uid"] for row in store.rows["Artifact"] if row["run_id"] == run["id"]]
    runs = Query(RUN).filter(uid=run["uid"])
    for conditions in (
        {"run": Run()}, {"run": run["id"]}, {"run": run["uid"]}, {"run__in": [Run()]}, {"run__in": [run["uid"], run["id"]]},
        {"run__in": runs}, {"run__id": run["id"]}, {"run__uid": run["uid"]}, {"run_id": run["id"]}, {"run__id__in": runs},
    ):  # fmt: skip
        assert store.uids(Query(ARTIFACT).filter(**conditions)) == expected, conditions
    without = [row["uid"] for row in store.rows["Artifact"] if row["run_id"] in (None, run["id"])]
    assert store.uids(Query(ARTIFACT).filter(run__in=[None, run["id"]])) == without
    assert store.uids(Query(ARTIFACT).filter(run=None)) == [u for u in without if u not in expected]
    assert store.uids(Query(ARTIFACT).filter(run__in=[])) == []
    assert store.uids(Query(RUN).filter(outputs__in=Query(ARTIFACT).filter(uid=artifact["uid"]))) == [run["uid"]]


def test_every_relation_is_followed_in_both_ways(store: Store) -> None:
    for registry in REGISTRIES.values():
        for name, relation in registry.relations.items():
            for row in store.rows[registry.name]:
                expected = store.related(registry, row, name)
                assert store.run(related(registry, name, row["id"])) == expected, (registry.name, name)
            target = store.rows[relation.target][-1]
            expected = [row for row in store.rows[registry.name] if target in store.related(registry, row, name)]
            assert store.run(Query(registry).filter(**{name: target["id"]})) == expected, (registry.name, name)


def test_members_of_a_collection_come_in_its_order(store: Store) -> None:
    down = store.rows["Collection"][1]
    members = store.related(COLLECTION, down, "artifacts")
    assert [row["position"] for row in members] == sorted((row["position"] for row in members), reverse=True)
    query = related(COLLECTION, "artifacts", down["id"])
    assert store.run(query.reverse()) == members[::-1]
    assert store.run(query.filter(size__gte=0).slice(1, 2)) == members[1:3]
    keys = Query(COLLECTION).related_values(store.log.database, [down["id"]], "artifacts__hash")
    assert keys == {down["id"]: [row["hash"] for row in members]}


def test_a_label_on_runs_alone_is_on_no_artifact(store: Store) -> None:
    label = store.rows["ULabel"][-1]
    assert label["uid"] in store.uids(Query(ULABEL).filter(artifacts__isnull=True, runs__isnull=False))
    assert store.run(related(ULABEL, "artifacts", label["id"])) == []
    run = store.related(ULABEL, label, "runs")[0]
    assert store.uids(Query(ULABEL).filter(artifacts=run["id"])) == []


@pytest.mark.parametrize("name", ["-size", "description", "-n_observations", "run__started_at", "-run__transform__key"])
def test_rows_without_a_value_come_last_and_equal_rows_in_log_order(store: Store, name: str) -> None:
    *relations, field = name.removeprefix("-").split("__")

    def key(row: dict[str, Any]) -> Any:
        registry, rows = ARTIFACT, [row]
        for relation in relations:
            rows = store.related(registry, rows[0], relation) if rows else []
            registry = REGISTRIES[registry.relations[relation].target]
        return rows[0][field] if rows else None

    def order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known = [row for row in rows if key(row) is not None]
        if name.startswith("-"):
            known.reverse()  # a stable sort that is turned around twice keeps equal rows in their order
            known.sort(key=key)
            known.reverse()
        else:
            known.sort(key=lambda row: key(row).encode() if isinstance(key(row), str) else key(row))
        return known + [row for row in rows if key(row) is None]

    query = Query(ARTIFACT).order_by(name)
    expected = order(store.rows["Artifact"])
    assert store.run(query) == expected
    assert store.run(query.reverse()) == expected[::-1]
    assert store.run(query.slice(3, 5)) == expected[3:8]
    assert store.run(query.slice(3, 5).slice(1, None)) == expected[4:8]
    assert store.run(query.slice(3, 5).reverse()) == expected[3:8][::-1]
    assert store.run(query.slice(3, 9).filter(size__gte=0, key__isnull=False)) == [
        r for r in expected[3:12] if r["key"]
    ]
    assert store.count(query.slice(25, 10)) == 5
    assert store.run(query.slice(28, None)) == expected[28:]
    assert not store.exists(query.slice(30, None))
    assert store.run(query.slice(0, 0)) == []


def test_a_date_means_its_whole_day(store: Store) -> None:
    def days(**conditions: Any) -> list[int]:
        return [int(row["started_at"][8:10]) for row in store.run(Query(RUN).filter(**conditions))]

    day = date(2026, 11, 15)
    moment = datetime(2026, 11, 15, 23, 59, 59, 999999, UTC)
    assert days(started_at=day) == days(started_at="2026-11-15") == days(started_at=moment) == [15]
    assert days(started_at=datetime(2026, 11, 15, tzinfo=UTC)) == []
    assert days(started_at__gt=day) == days(started_at__gt=moment) == [16, 17, 18, 19]
    assert days(started_at__gte=day) == [15, 16, 17, 18, 19]
    assert days(started_at__lt=day) == [10, 11, 12, 13, 14]
    assert days(started_at__lte=day) == [10, 11, 12, 13, 14, 15]
    assert days(started_at__range=("2026-11-12", day)) == [12, 13, 14, 15]
    assert days(started_at__in=[day, "2026-11-17"]) == [15, 17]
    assert days(started_at="2026-11-16T00:59:59.999999+01:00") == [15]
    assert days(started_at__lte=date.max) == list(range(10, 20))
    assert days(finished_at__isnull=True) == [10, 14, 18]


def test_a_year_or_month_means_all_of_it(store: Store) -> None:
    def days(**conditions: Any) -> list[int]:
        return [int(row["started_at"][8:10]) for row in store.run(Query(RUN).filter(**conditions))]

    every = list(range(10, 20))
    for year in (2026, "2026"):
        assert days(started_at__gte=year) == days(started_at__lte=year) == days(started_at=year) == every
        assert days(started_at__gt=year) == days(started_at__lt=year) == []
    assert (
        days(started_at__gt=2025) == days(started_at__lt="2027") == days(started_at__range=("2026", "2026-11")) == every
    )
    assert days(started_at__gte="2026-11") == days(started_at="2026-11") == days(started_at__lt="2026-12") == every
    assert days(started_at__gt="2026-11") == days(started_at="2026-12") == days(started_at__lt="2026-11") == []
    assert days(started_at__range=("2025-12", "2026-11-12")) == [10, 11, 12]
    assert days(started_at__in=["2025", "2026-11-15", "2026-10"]) == [15]
    assert days(started_at__lte="9999") == days(started_at__lte="9999-12") == every


def test_a_year_or_month_means_all_days_of_a_feature(store: Store) -> None:
    query = store.query(ARTIFACT)

    def uids(**conditions: Any) -> list[str]:
        return store.uids(query.filter(**conditions))

    every = uids(day__isnull=False)
    assert uids(day="2026") == uids(day="2026-11") == uids(day__gte=2026) == uids(day__lte="2026-11") == every != []
    assert uids(day__gt="2026-11") == uids(day__lt=2026) == uids(day="2025") == uids(day__in=["2025", "2026-10"]) == []
    assert uids(day__in=[date(2026, 11, 12), "2025"]) == uids(day="2026-11-12") != []
    assert uids(day__in=["2026", "2026-11-12"]) == every
    assert uids(moment=2026) == uids(moment__lt="2026-12") == uids(moment__isnull=False) != []
    assert uids(day__range=(2025, "2026-11-12")) == uids(day__lte="2026-11-12")


def test_letters_that_become_ascii_are_found_by_it(log: EventLog) -> None:
    letters = [chr(code) for code in range(128, 0x1F000) if any(map(str.isascii, lowered(chr(code))))]
    assert letters == ["\u0130", "\u212a"], "those that the compiler knows of"
    keys = [f"a{letter}B" for letter in [*letters, "i", "K", "x"]]
    log.append([
        NewEvent(
            stream=new_id(), version=1,
            fact=TransformRegistered(uid=versioned_uid(new_uid(12), 0), version_number=0, key=key, type="script"),
        )
        for key in keys
    ])  # fmt: skip
    store = Store(log, {}, {})
    for part in ("aib", "AKB", "axb", "b"):
        for lookup in ("iexact", "icontains", "istartswith", "iendswith"):
            expected = [key for key in keys if TEXT_TESTS[lookup](key, part)]
            found = store.run(Query(TRANSFORM).filter(**{f"key__{lookup}": part}))
            assert [row["key"] for row in found] == expected, (part, lookup)


def test_case_is_lowered_alike_on_both_databases(log: EventLog) -> None:
    letters = [
        chr(code) for code in range(1, 0x1F000) if chr(code).lower() != chr(code) or chr(code).upper() != chr(code)
    ]
    marks = ", ".join("(?)" for _ in letters)
    found = log.database.read(
        f"WITH letters(c) AS (VALUES {marks}) SELECT c, lineagelog_lower(c) FROM letters", letters
    )
    differing = {letter: lower for letter, lower in found if lower != lower_text(letter)}
    assert not differing


def test_regular_expressions_of_the_common_kind_agree(store: Store) -> None:
    rows = store.rows["Artifact"]
    for lookup, flags in (("regex", 0), ("iregex", re.IGNORECASE)):
        for pattern in (r"^\d", "^(plain|éclair)$", "[a-z]{3}", r"\.", "ÉC+LAIR", "x{80}", "^$", r"\w+ße$", "日.語"):
            expected = [r for r in rows if r["description"] is not None and re.search(pattern, r["description"], flags)]
            assert store.run(Query(ARTIFACT).filter(**{f"description__{lookup}": pattern})) == expected, pattern


def test_a_list_may_be_longer_than_any_number_of_parameters(store: Store) -> None:
    uids = [f"{n:020d}" for n in range(70_000)] + [store.rows["Artifact"][3]["uid"]]
    assert store.uids(Query(ARTIFACT).filter(uid__in=uids)) == uids[-1:]
    assert store.count(Query(ARTIFACT).exclude(size__in=range(40_000))) == sum(
        row["size"] >= 40_000 for row in store.rows["Artifact"]
    )


def test_search_ranks_the_whole_text_before_a_beginning_and_a_word_further_on(log: EventLog) -> None:
    keys = ["xclean", "data/clean_iris", "cleaning.py", "CLEAN", "other", "iris/then clean"]
    log.append([
        NewEvent(
            stream=new_id(), version=1,
            fact=TransformRegistered(uid=versioned_uid(new_uid(12), 0), version_number=0, key=key, type="script"),
        )
        for key in keys
    ])  # fmt: skip
    store = Store(log, {}, {})

    def search(text: str) -> list[str]:
        return [row["key"] for row in store.run(Query(TRANSFORM).search(text))]

    assert search("clean") == ["CLEAN", "cleaning.py", "data/clean_iris", "iris/then clean"]
    assert search("clean iris") == ["data/clean_iris", "iris/then clean"]
    assert search("then clean") == search("Then_Clean") == ["iris/then clean"]
    assert search("%") == search("lean") == []
    assert search("_x") == ["xclean"]
    assert search(" ") == keys
    (uid,) = [row["uid"] for row in store.run(Query(TRANSFORM).filter(key="other"))]
    assert search(uid[:8]) == ["other"]
    assert search(uid[2:]) == []
    assert store.count(Query(TRANSFORM).search("clean").filter(key__startswith="c")) == 1
    assert [r["key"] for r in store.run(Query(TRANSFORM).search("clean").slice(0, 2))] == ["CLEAN", "cleaning.py"]


@pytest.mark.parametrize(
    ("registry", "conditions", "near"),
    [
        (ARTIFACT, {"keey": 1}, "'key'"),
        (ARTIFACT, {"key__contain": "a"}, "'contains'"),
        (ARTIFACT, {"run__transform__kye": "a"}, "'key'"),
        (ARTIFACT, {"run__contains": "a"}, "exact"),
        (ARTIFACT, {"size__contains": "1"}, "lookup"),
        (ARTIFACT, {"is_latest__gt": True}, "lookup"),
        (ARTIFACT, {"key) OR 1=1 --": "a"}, "key"),
        (ARTIFACT, {"": "a"}, "field"),
        (RUN, {"inputs__nothing": 1}, "field"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_that_exists(
    registry: Registry, conditions: dict[str, Any], near: str
) -> None:
    with pytest.raises(UnknownFieldError, match=re.escape(near)):
        Query(registry).filter(**conditions)


@pytest.mark.parametrize(
    "name", ["nothing", "run", "run__nothing", "input_of_runs__name", "size; DROP TABLE runs", "run__params"]
)
def test_order_is_by_existing_single_fields_only(name: str) -> None:
    with pytest.raises(UnknownFieldError):
        Query(ARTIFACT).order_by(name)


class Transform:
    id = None


class User:
    id = "018f0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("registry", "conditions", "words"),
    [
        (ARTIFACT, {"size": "1"}, "Artifact.size is a whole number, not str"),
        (ARTIFACT, {"size": True}, "whole number, not bool"),
        (ARTIFACT, {"size": 1.5}, "whole number, not float"),
        (ARTIFACT, {"size__gt": 2**63}, "64 bits"),
        (ARTIFACT, {"is_latest": 1}, "True or False, not int"),
        (ARTIFACT, {"key": 1}, "Artifact.key is int"),
        (ARTIFACT, {"key": "a\x00b"}, "NUL"),
        (ARTIFACT, {"key": "a\ud800b"}, "surrogate"),
        (ARTIFACT, {"key__in": "abc"}, "is a list, not str"),
        (ARTIFACT, {"key__range": ["a"]}, "pair"),
        (ARTIFACT, {"key__isnull": 1}, "True or False"),
        (ARTIFACT, {"key__regex": "("}, "regular expression"),
        (ARTIFACT, {"created_at": "yesterday"}, "ISO 8601"),
        (ARTIFACT, {"created_at": datetime(2026, 1, 1)}, "time zone"),
        (ARTIFACT, {"created_at": 5}, "a time, not int"),
        (ARTIFACT, {"created_at": True}, "a time, not bool"),
        (ARTIFACT, {"created_at": "2026-13"}, "'2026-13', which is no year, month or day: month must be in 1..12"),
        (ARTIFACT, {"created_at__gte": "2026-02-30"}, "day is out of range"),
        (ARTIFACT, {"created_at": "26"}, "such as 2026-11-21, 2026-11 or 2026"),
        (ARTIFACT, {"created_by": "ada lovelace"}, "created_by__handle="),
        (ARTIFACT, {"transform": Transform()}, "not saved"),
        (ARTIFACT, {"transform": User()}, "is a Transform, not User"),
        (ARTIFACT, {"transform": 7}, "is a Transform, not int"),
        (ARTIFACT, {"run__in": Query(USER)}, "is a Run, and the query is one of User"),
        (ARTIFACT, {"run": Query(RUN)}, "run__in="),
        (RUN, {"params__lr": {"a": 1}}, "compare its parts"),
        (RUN, {"params__lr": float("nan")}, "nan"),
        (RUN, {"params": {}}, "part by part"),
        (RUN, {"params__lr__gt": True}, "no order"),
        (RUN, {"params__lr__icontains": 1}, "pass text"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(
    registry: Registry, conditions: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(words)):
        Query(registry).filter(**conditions)


def test_no_text_of_a_user_becomes_sql() -> None:
    hostile = "x' OR '1'='1"
    query = (
        Query(RUN)
        .filter(name=hostile, inputs__key__icontains=hostile, **{f"params__{hostile}__in": [hostile]})
        .search(hostile)
        .slice(7, 1234567)
    )
    for dialect in ("sqlite", "postgresql"):
        sql, parameters = query.compile(dialect)  # type: ignore[arg-type]
        assert "OR '1'" not in sql
        assert "1234567" not in sql
        assert sql.count("?") == len(parameters)


def test_a_query_does_not_change_and_compiles_to_the_same_statement_for_other_values() -> None:
    query = Query(ARTIFACT)
    first = query.filter(key="a", size__in=[1])
    assert query.conditions == ()
    assert first.compile("sqlite")[0] == query.filter(key="b", size__in=[1, 2, 3]).compile("sqlite")[0]
    with pytest.raises(AttributeError):
        query.start = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="Q object"):
        query.filter("key")  # type: ignore[arg-type]


def test_fields_over_relations_are_read_with_the_rows(store: Store) -> None:
    sql, parameters = Query(ARTIFACT).compile(store.log.database.dialect, fields=("uid", "run__transform__name"))
    expected = []
    for row in store.rows["Artifact"]:
        runs = store.related(ARTIFACT, row, "run")
        expected.append((row["uid"], store.related(RUN, runs[0], "transform")[0]["key"] if runs else None))
    assert [tuple(row) for row in store.log.database.read(sql, parameters)] == expected
    query = Query(ARTIFACT).distinct()
    sql, parameters = query.compile(store.log.database.dialect, fields=("suffix",))
    assert [tuple(row) for row in store.log.database.read(sql, parameters)] == [("",), (".csv",), (".parquet",)]


def test_a_category_is_named_by_its_name_id_record_or_a_query(store: Store) -> None:
    label = store.rows["ULabel"][2]

    class ULabel:
        id = label["id"]

    query = store.query(ARTIFACT)
    expected = [row["uid"] for row in store.rows["Artifact"] if store.measured(row, "cell__type") == label]
    assert expected
    for conditions in (
        {"cell__type": ULabel()}, {"cell__type": label["id"]}, {"cell__type": label["name"]}, {"cell__type__id": label["id"]},
        {"cell__type__in": [ULabel()]}, {"cell__type__in": Query(ULABEL).filter(uid=label["uid"])},
    ):  # fmt: skip
        assert store.uids(query.filter(**conditions)) == expected, conditions
    assert store.uids(query.filter(cell__type__in=[])) == []


def test_a_field_is_meant_before_a_feature_of_the_same_name(store: Store) -> None:
    key = next(row["key"] for row in store.rows["Artifact"] if row["key"])
    assert "key" in FEATURES
    assert store.count(store.query(ARTIFACT).filter(key=key)) == 1


def test_a_date_or_a_moment_may_be_given_as_such(store: Store) -> None:
    query = store.query(ARTIFACT)
    assert store.uids(query.filter(day=date(2026, 11, 12))) == store.uids(query.filter(day="2026-11-12")) != []
    moment = datetime(2026, 11, 12, tzinfo=UTC)
    assert store.uids(query.filter(moment=moment)) == store.uids(query.filter(moment=date(2026, 11, 12))) != []


@pytest.mark.parametrize(
    ("registry", "conditions", "error", "words"),
    [
        (ARTIFACT, {"not": 1}, UnknownFieldError, "'note'"),
        (ARTIFACT, {"note__contain": "a"}, UnknownFieldError, "contains"),
        (ARTIFACT, {"count__contains": "1"}, UnknownFieldError, "lookup"),
        (USER, {"note": "a"}, UnknownFieldError, "User has no field"),
        (RUN, {"transform__note": "a"}, UnknownFieldError, "Transform has no field"),
        (ARTIFACT, {"count": "1"}, InvalidValueError, "type int"),
        (ARTIFACT, {"count": True}, InvalidValueError, "type int"),
        (ARTIFACT, {"gc content__gte": "1"}, InvalidValueError, "type float"),
        (ARTIFACT, {"gc content__in": [0.1, "1"]}, InvalidValueError, "'gc content'"),
        (ARTIFACT, {"flag": 1}, InvalidValueError, "type bool"),
        (ARTIFACT, {"day": "yesterday"}, InvalidValueError, "type date"),
        (ARTIFACT, {"day": 20261121}, InvalidValueError, "type date"),
        (ARTIFACT, {"day": "2026-00"}, InvalidValueError, "no year, month or day"),
        (ARTIFACT, {"day": datetime(2026, 1, 1, tzinfo=UTC)}, InvalidValueError, "type date"),
        (ARTIFACT, {"moment": datetime(2026, 1, 1)}, InvalidValueError, "time zone"),
        (ARTIFACT, {"note": 1}, InvalidValueError, "'note'"),
        (ARTIFACT, {"study": {}}, InvalidValueError, "part by part"),
        (ARTIFACT, {"cell__type": 1}, InvalidValueError, "is a ULabel, not int"),
        (ARTIFACT, {"sample__in": Query(ULABEL)}, InvalidValueError, "is a Record, and the query is one of ULabel"),
        (ARTIFACT, {"day__range": ["2026-11-12"]}, InvalidValueError, "pair"),
    ],
)
def test_a_condition_on_a_feature_is_checked_by_its_type(
    registry: Registry, conditions: dict[str, Any], error: type[Exception], words: str
) -> None:
    features = {name: FeatureType(new_id(), dtype) for name, dtype in FEATURES.items()}
    with pytest.raises(error, match=re.escape(words)):
        Query(registry, features=lambda: features).filter(**conditions)


def test_the_features_are_read_once_for_a_call_and_only_if_one_is_named() -> None:
    asked: list[int] = []

    def features() -> dict[str, FeatureType]:
        asked.append(1)
        return {name: FeatureType(new_id(), dtype) for name, dtype in FEATURES.items()}

    query = Query(ARTIFACT, features=features).filter(size=1, run__name="a")
    assert asked == []
    query.filter(Q(note="a") | Q(count=1), day="2026-11-12")
    assert asked == [1]


def test_related_values_of_many_rows_are_read_at_once(store: Store) -> None:
    rows = store.rows["Run"]
    ids = [row["id"] for row in rows]
    handles = Query(RUN).related_values(store.log.database, ids, "created_by__handle")
    assert handles == {row["id"]: store.related(RUN, row, "created_by")[0]["handle"] for row in rows}
    sizes = Query(RUN).related_values(store.log.database, ids, "inputs__size")
    assert sizes == {row["id"]: [other["size"] for other in store.related(RUN, row, "inputs")] for row in rows}
    uids = Query(RUN).related_values(store.log.database, ids, "transform")
    assert uids == {row["id"]: store.related(RUN, row, "transform")[0]["uid"] for row in rows}
    rates = Query(RUN).related_values(store.log.database, ids, "params__optimizer__lr")
    assert rates[ids[1]] == 1
    assert rates[ids[3]] is None
    started = Query(ARTIFACT).related_values(
        store.log.database, [row["id"] for row in store.rows["Artifact"]], "run__started_at"
    )
    assert all(moment.tzinfo is not None for moment in started.values())
    with pytest.raises(UnknownFieldError):
        Query(RUN).related_values(store.log.database, ids, "created_by__nothing")
