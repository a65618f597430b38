"""Named queries answer what auditors ask, over a store and over its export, and say when there is nothing to ask about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest

from lineagelog import Store
from lineagelog.domain.errors import InvalidValueError, MultipleRecordsError, QueryError, RecordNotFoundError
from lineagelog.exporters.sparql.asking import QueryResult, query
from lineagelog.exporters.sparql.cookbook import ask_named, fill, named_queries, named_query

ROOT = Path(__file__).parents[3]
ABOUT = sorted(name for name, named in named_queries().items() if named.about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store in which Ana cleans, Ben fits and fails once, a source is deleted, and content is overwritten."""
    folder = tmp_path_factory.mktemp("cookbook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with Store.create("study") as store, store.as_current():
            _tell(store, folder)
            store.export(folder / "study.trig")
        yield folder


def _tell(store: Store, folder: Path) -> None:
    def saved(name: str, text: str) -> Any:
        (folder / name).write_text(text)
        return store.Artifact(folder / name, key=name).save()

    store.login("ana", name="Ana Nowak")
    raw, consented = saved("raw.csv", "a\n1\n"), saved("consented.csv", "a\n2\n")
    with store.Run(store.Transform(key="clean.py", type="script", source_code="# clean\n").save(), params={"k": 3}):
        raw.cache()
        consented.cache()
        clean = saved("clean.csv", "a\n3\n")
    store.login("ben", name="Ben Okafor")
    fit = store.Transform(key="fit.py", type="script", source_code="# fit\n").save()
    with store.Run(fit, params={"seed": 1}):
        clean.cache()
        model = saved("model.txt", "w=1")
    with pytest.raises(ValueError, match="converge"), store.Run(fit, params={"seed": 2}):
        raise ValueError("did not converge")
    draft = store.ULabel(name="draft").save()
    model.labels.add(draft)
    with store.because("reviewed"):
        model.labels.remove(draft)
    store.Feature(name="auc", dtype=float).save()
    model.features.add_values({"auc": 0.5})
    store.Collection([clean, model], key="results").save()
    consented.delete(permanent=True, reason="consent was withdrawn")
    raw.path.write_text("b\n1\n")
    raw.verify()


@pytest.fixture(params=["store", "export"])
def asked(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ask the store, and its export."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    if request.param == "export":
        yield lambda name, about=None: ask_named(folder / "study.trig", name, about)
        return
    with Store.open(folder / "study") as store:
        yield lambda name, about=None: store.sparql(named=name, about=about)


def table(result: QueryResult, *columns: str) -> list[tuple[Any, ...]]:
    places = [result.columns.index(column) for column in columns]
    return [tuple(row[place] for place in places) for row in result.rows]


def test_each_question_has_its_answer(asked: Any) -> None:
    touched = table(asked("who-touched", "consented.csv"), "who", "did", "code", "reason")
    assert touched == [
        ("ana", "made", None, None),
        ("ana", "read", "clean.py", None),
        ("ben", "deleted", None, "consent was withdrawn"),
    ]
    noted = table(asked("who-touched", "model.txt"), "who", "did", "what", "reason")
    assert noted == [
        ("ben", "made", None, None),
        ("ben", "annotated", "draft", None),
        ("ben", "took an annotation back", "draft", "reviewed"),
        ("ben", "annotated", "auc", None),
        ("ben", "put into a collection", "results", None),
    ]
    sources = table(asked("sources-of", "model.txt"), "key", "version", "who")
    assert sources == [("consented.csv", 1, "ana"), ("raw.csv", 1, "ana")]
    affected = table(asked("affected-by", "raw.csv"), "key", "who", "code")
    assert affected == [("clean.csv", "ana", "clean.py"), ("model.txt", "ben", "fit.py")]
    code = table(asked("code-behind", "model.txt"), "code", "version", "params", "who")
    assert code == [("clean.py", 1, '{"k":3}', "ana"), ("fit.py", 1, '{"seed":1}', "ben")]
    software = table(asked("software-behind", "model.txt"), "code", "environment")
    assert software == [("clean.py", None), ("fit.py", None)]
    annotations = table(asked("annotations-of", "model.txt"), "who", "feature", "what", "ended_by", "reason")
    assert annotations == [("ben", None, "draft", "ben", "reviewed"), ("ben", "auc", "0.5", None, None)]
    deleted = table(asked("deleted"), "who", "reason", "key", "version", "content_removed")
    assert deleted == [("ben", "consent was withdrawn", "consented.csv", 1, True)]
    left = table(asked("made-from-deleted"), "key", "deleted_key")
    assert left == [("clean.csv", "consented.csv"), ("model.txt", "consented.csv")]
    failed = table(asked("not-finished"), "status", "who", "code", "error", "message", "n_results")
    assert failed == [("failed", "ben", "fit.py", "ValueError", "did not converge", 0)]
    assert table(asked("failed-checks"), "who", "name", "outcome") == [("ben", "raw.csv", "changed")]


def test_a_uid_means_one_version(asked: Any, folder: Path) -> None:
    with Store.open(folder / "study") as store:
        uid = store.Artifact.get(key="raw.csv").uid
    rows = asked("affected-by", "raw.csv").rows
    assert asked("affected-by", uid).rows == asked("affected-by", uid[:9]).rows == rows != ()


def test_the_beginning_of_several_uids_means_none_of_them(folder: Path) -> None:
    # In an export: the store looks for records itself.
    trig = folder / "twins.trig"
    head = "@prefix ll: <https://w3id.org/lineagelog/ns#> . @prefix : <https://w3id.org/lineagelog/id/S/artifact/> .\n"
    trig.write_text(f"{head}:AbcA0000 a ll:Artifact . :AbcB0000 a ll:Artifact . :AbcB0001 a ll:Artifact .")
    with pytest.raises(MultipleRecordsError, match="AbcA0000, AbcB0000, AbcB0001"):
        ask_named(trig, "who-touched", "Abc")
    assert ask_named(trig, "who-touched", "AbcB").rows == ()
    with pytest.raises(RecordNotFoundError, match="AbcC"):
        ask_named(trig, "who-touched", "AbcC")


@pytest.mark.parametrize("name", ABOUT)
def test_what_is_not_there_is_told_from_no_answer(asked: Any, name: str) -> None:
    with pytest.raises(RecordNotFoundError, match=r"nothing\.csv"):
        asked(name, "nothing.csv")
    with pytest.raises(InvalidValueError, match="give the key or uid of an artifact"):
        asked(name)


def test_nothing_made_from_it_is_an_answer(asked: Any) -> None:
    assert asked("affected-by", "model.txt").rows == ()


def test_names_that_do_not_exist_are_answered_with_those_that_do(asked: Any) -> None:
    with pytest.raises(QueryError, match="no query named 'who-touch'; there are affected-by, "):
        asked("who-touch", "raw.csv")
    with pytest.raises(InvalidValueError, match="leave it out"):
        asked("deleted", "raw.csv")


@pytest.mark.parametrize(
    "text", ['"', "\\", '\\u0022 } # "', "a\nb\r\t", "数 🧪 \x07", "}\n SERVICE <http://x.example/> {"]
)
def test_no_text_gets_out_of_its_place(text: str) -> None:
    quad = pyoxigraph.Quad(
        pyoxigraph.NamedNode("http://x.example/a"),
        pyoxigraph.NamedNode("https://w3id.org/lineagelog/ns#key"),
        pyoxigraph.Literal(text),
    )
    chunks = [pyoxigraph.serialize([quad], format=pyoxigraph.RdfFormat.N_QUADS)]
    asks = fill('ASK { VALUES ?about { "UID" } ?artifact ll:key ?about }', text)
    assert query(chunks, asks).answer is True  # type: ignore[arg-type]


def test_the_document_shows_each_query_as_it_is() -> None:
    text = (ROOT / "docs" / "sparql.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+?) \|", text, re.MULTILINE))
    assert rows == {name: named.question for name, named in named_queries().items()}
    assert len(rows) == 10
    assert f"```sparql\n{named_query('affected-by').sparql}```" in text


def test_the_parameter_of_the_store_is_one_question(folder: Path) -> None:
    with Store.open(folder / "study") as store:
        with pytest.raises(InvalidValueError, match="give one of the two"):
            store.sparql()
        with pytest.raises(InvalidValueError, match="goes with a named query"):
            store.sparql("ASK { ?a ?b ?c }", about="raw.csv")
        raw = store.Artifact.get(key="raw.csv")
        assert store.sparql(named="affected-by", about=raw).rows
        assert json.dumps(raw.uid) in named_query("affected-by").filled(raw.uid)
