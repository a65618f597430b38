"""Objects become artifacts and come back, content opens lazily, whole collections load and open as one."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zarr
from scipy.sparse import csr_matrix

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Refused = Callable[..., errors.LineageLogError]


def matrix(number: int = 0) -> anndata.AnnData:
    cells = pd.DataFrame(
        {"type": pd.Categorical(["T", "B", "T"]), "age": [1, 2, number]}, index=[f"cell{number}-{n}" for n in range(3)]
    )
    genes = pd.DataFrame({"symbol": ["CD4", "CD8A"]}, index=["g1", "g2"])
    return anndata.AnnData(csr_matrix(np.eye(3, 2)), obs=cells, var=genes, uns={"k": number})


def modalities() -> mudata.MuData:
    proteins = matrix()
    proteins.var_names = ["p1", "p2"]
    return mudata.MuData({"rna": matrix(), "protein": proteins})


def table(number: int = 0, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": [number, number + 1], "name": ["a", "ä"], **columns})


@pytest.mark.parametrize(
    ("obj", "call", "key", "suffix", "otype", "observations", "variables"),
    [
        (table(), "from_dataframe", None, ".parquet", "DataFrame", 2, 2),
        (table(), "from_df", "t.feather", ".feather", "DataFrame", 2, 2),
        (table(), "from_dataframe", "t.tsv.gz", ".tsv.gz", "DataFrame", 2, 2),
        (pl.DataFrame(table()), "from_dataframe", "t.parquet", ".parquet", "DataFrame", 2, 2),
        (pl.DataFrame(table()).lazy(), "from_dataframe", "t.csv", ".csv", "LazyFrame", 2, 2),
        (pa.table(table()), "from_arrow", "t.parquet", ".parquet", "Table", 2, 2),
        (pa.table(table()), "from_arrow", "t.csv.gz", ".csv.gz", "Table", 2, 2),
        (matrix(), "from_anndata", None, ".h5ad", "AnnData", 3, 2),
        (matrix(), "from_anndata", "cells.zarr", ".zarr", "AnnData", 3, 2),
        (modalities(), "from_mudata", "m.h5mu", ".h5mu", "MuData", 3, 4),
        (modalities(), "from_mudata", "m.mudata.zarr", ".mudata.zarr", "MuData", 3, 4),
        (np.eye(4, 3), "", "a.npy", ".npy", "ndarray", 4, 3),
        ({"lr": 0.1, "layers": [1, 2]}, "", "p.json", ".json", "dict", None, None),
        ([1, None, "ü"], "", "p.yaml", ".yaml", "list", 3, None),
    ],
)
def test_an_object_is_stored_comes_back_and_is_recognised(
    sqlite_store: Store,
    obj: Any,
    call: str,
    key: str | None,
    suffix: str,
    otype: str,
    observations: int,
    variables: int,
) -> None:
    make = getattr(ln.Artifact, call) if call else ln.Artifact
    saved = make(obj, key=key, run=False).save()
    assert (saved.suffix, saved.otype, saved.n_observations, saved.n_variables) == (
        suffix,
        otype,
        observations,
        variables,
    )
    loaded = saved.load()
    if otype in ("DataFrame", "LazyFrame", "Table"):
        pd.testing.assert_frame_equal(loaded, table(), check_dtype=False)
        assert list(saved.table_schema) == ["x", "name"]
        assert saved.table_schema["x"] == "int64"
    elif otype in ("AnnData", "MuData"):
        assert (loaded.shape, list(loaded.obs_names)) == (obj.shape, list(obj.obs_names))
        if otype == "AnnData":
            assert saved.table_schema["obs/type"].startswith("dictionary<values=string")
            assert "var/symbol" in saved.table_schema
    else:
        assert np.array_equal(loaded, obj) if otype == "ndarray" else loaded == obj
    again = make(obj, key=key, run=False).save()
    assert again.uid == saved.uid, "equal objects give equal bytes"


def test_saving_leaves_an_annotated_matrix_as_it_is(sqlite_store: Store) -> None:
    cells = matrix()
    cells.obs["text"] = ["a", "b", "a"]
    before = cells.obs.dtypes.astype(str).to_dict()
    ln.Artifact.from_anndata(cells, key="c.h5ad", run=False).save()
    assert cells.obs.dtypes.astype(str).to_dict() == before
    backed = ln.Artifact.get(key="c.h5ad").open()
    place = backed.filename
    ln.Artifact.from_anndata(backed, key="again.h5ad", run=False).save()
    assert backed.filename == place
    backed.file.close()


def test_what_cannot_be_stored_is_refused_before_anything_is_recorded(store: Store, refused: Refused) -> None:
    for obj, key, why in (
        (object(), None, "cannot be stored; pass one of"),
        (matrix(), "cells.parquet", "one of .h5ad, .zarr"),
        (table(), "t.h5ad", "choose such a key"),
        (np.array([object()]), "a.npy", "would be a pickle"),
        ({"a": object()}, "a.json", "cannot be written as JSON"),
        ({1: "a"}, "a.json", "would not read back"),
        ([float("nan")], "a.json", "cannot be written as JSON"),
        ({"a": (1, 2)}, "a.yaml", "cannot be written|would not read back"),
    ):
        refused(
            errors.UnsupportedFormatError, lambda obj=obj, key=key: ln.Artifact(obj, key=key, run=False).save(), why
        )  # type: ignore[misc]
    for call, obj in (("from_anndata", table()), ("from_dataframe", "t.csv"), ("from_arrow", table())):
        with pytest.raises(TypeError, match=rf"{call}\(\) takes"):
            getattr(ln.Artifact, call)(obj)


def test_the_schema_of_a_file_is_recorded_and_shown(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("b,a\n1,x\n2.5,y\n")
    saved = ln.Artifact(path, key="t.csv", run=False).save()
    assert (saved.n_observations, saved.n_variables) == (2, 2)
    assert list(saved.table_schema.items()) == [("b", "double"), ("a", "string")]
    assert ln.Artifact.get(saved.uid).table_schema == saved.table_schema
    assert ln.Artifact.filter(n_variables=2).one() == saved
    capsys.readouterr()
    saved.describe()
    assert "b: double, a: string" in capsys.readouterr().out


def test_that_code_was_allowed_to_run_is_on_record_before_it_does(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    model = ln.Artifact(path, key="m.pkl", kind="model", run=False).save()
    with pytest.raises(errors.UnsupportedFormatError, match="trust=True"):
        model.load()
    head = store.log.head()
    user = store.login("ada", name="Ada")
    with ln.Run(ln.Transform("read")) as run:
        assert model.load(trust=True) == {"a": 1}
    assert store.log.head() != head
    *_, event = model.history()
    assert (event.topic, event.fact.format, event.fact.how) == ("artifact.trusted.1", "pickle", "load")
    assert (event.actor, event.run) == (user.id, run.id)
    path.write_bytes(b"cnowhere\nnothing\n.")
    broken = ln.Artifact(path, key="broken.pkl", run=False).save()
    with pytest.raises(errors.StorageError):
        broken.load(trust=True)
    assert [event.topic for event in broken.history()][-1] == "artifact.trusted.1"
    model.description = "still ours"
    model.save()
    text = ln.Artifact({"a": 1}, key="a.json", run=False).save()
    assert text.load(trust=True) == {"a": 1}
    assert len(list(text.history())) == 1, "nothing could run"


@pytest.fixture(params=["local", "memory", "s3"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store whose artifacts lie on disk, in this process, or behind HTTP."""
    root: Any = tmp_path / "anywhere"
    if request.param != "local":
        root = f"{request.param}://{'bucket/' if request.param == 's3' else ''}{uuid.uuid4().hex}"
    if request.param == "s3":
        request.getfixturevalue("s3_environment")
    storage = None if request.param == "local" else root
    opened = Store.create(tmp_path / "anywhere", name="anywhere")
    with opened.as_current():
        if storage is not None:
            ln.Storage(storage).save().make_default()
        yield opened
    opened.close()


def test_content_opens_lazily_wherever_it_lies(anywhere: Store) -> None:
    frame = table(1)
    for key in ("t.parquet", "t.feather", "t.csv", "t.tsv.gz"):
        dataset = ln.Artifact(frame, key=key, run=False).save().open()
        assert isinstance(dataset, ds.Dataset), key
        found = dataset.to_table(columns=["x"], filter=ds.field("x") > 1)
        assert found.to_pydict() == {"x": [2]}, key
    backed = ln.Artifact(matrix(), key="c.h5ad", run=False).save().open()
    assert backed.isbacked
    assert backed[:, "g1"].to_memory().X.toarray().tolist() == [[1], [0], [0]]
    backed.file.close()
    group = ln.Artifact(matrix(), key="c.zarr", run=False).save().open()
    assert isinstance(group, zarr.Group)
    assert group["obs/age"][:].tolist() == [1, 2, 0]
    text = ln.Artifact({"a": 1}, key="a.json", run=False).save()
    with text.open() as handle:
        assert handle.read() == b'{\n  "a": 1\n}\n'
    with ln.Artifact.get(key="t.csv").open("rb") as handle:
        assert handle.read(4) == b"x,na"
    with pytest.raises(errors.InvalidValueError, match="'w'"):
        text.open("w")


def test_one_column_of_a_remote_table_is_all_that_is_fetched(
    sqlite_store: Store, s3_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    random = np.random.default_rng(7)
    columns = {f"c{number}": random.random(100_000) for number in range(20)}
    pq.write_table(pa.table(columns), tmp_path / "wide.parquet")
    root = f"s3://bucket/{uuid.uuid4().hex}"
    storage = ln.Storage(root).save()
    sqlite_store.storage_backend(storage.id).put_file(tmp_path / "wide.parquet", "wide.parquet")
    saved = ln.Artifact(f"{root}/wide.parquet", run=False).save()
    assert (saved.n_observations, saved.n_variables) == (100_000, 20)
    fetched: list[int] = []
    fetch = s3fs.S3File._fetch_range

    def counted(self: Any, start: int, end: int) -> bytes:
        block: bytes = fetch(self, start, end)
        fetched.append(len(block))
        return block

    # The server answers as always; what passes is only counted.
    monkeypatch.setattr(s3fs.S3File, "_fetch_range", counted)
    assert saved.open().to_table(columns=["c3"])["c3"][0].as_py() == columns["c3"][0]
    assert 0 < sum(fetched) < saved.size / 10


def test_a_collection_loads_and_opens_as_one(anywhere: Store) -> None:
    parts = [
        ln.Artifact(table(n), key=f"part{n}{suffix}", run=False)
        for n, suffix in enumerate((".parquet", ".csv", ".parquet"))
    ]
    wider = ln.Artifact(table(3, extra=[0.5, 1.5]), key="part3.feather", run=False)
    collection = ln.Collection([*parts, wider], "all", run=False).save()
    with ln.Run(ln.Transform("read")) as run:
        dataset = collection.open()
        assert dataset.count_rows() == 8
        found = dataset.to_table(filter=ds.field("x") >= 3).to_pydict()
        assert found == {"x": [3, 3, 4], "name": ["ä", "a", "ä"], "extra": [None, 0.5, 1.5]}
    assert [artifact.key for artifact in run.inputs] == ["part0.parquet", "part1.csv", "part2.parquet", "part3.feather"]
    loaded = collection.load()
    assert loaded["x"].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert list(collection.load(join="inner").columns) == ["x", "name"]
    cells = ln.Collection(
        [ln.Artifact(matrix(n), key=f"c{n}.h5ad", run=False) for n in (1, 2)], "cells", run=False
    ).save()
    both = cells.load()
    assert both.shape == (6, 2)
    assert both.obs["artifact_uid"].tolist()[::3] == [artifact.uid for artifact in cells]


def test_a_collection_of_what_does_not_fit_says_which_member_and_why(store: Store) -> None:
    whole, text = ln.Artifact(table(), key="t.parquet"), ln.Artifact(table(x=["p", "q"]), key="u.parquet")
    mixed = ln.Collection([whole, text], "mixed", run=False).save()
    with pytest.raises(
        errors.UnsupportedFormatError, match=r"u\.parquet does not fit .* 'x' is (large_)?string, and int64"
    ):
        mixed.open()
    cells = ln.Artifact(matrix(), key="c.h5ad", run=False)
    text = ln.Artifact({}, key="a.json", run=False)
    for members, key, why in (([whole, cells], "both", "c.h5ad is AnnData"), ([text, whole], "json", "neither")):
        collection = ln.Collection(members, key, run=False).save()
        for call in (collection.load, collection.open):
            with pytest.raises(errors.UnsupportedFormatError, match=why):
                call()
    with pytest.raises(errors.UnsupportedFormatError, match="is no table"):
        ln.Collection([cells], "cells", run=False).save().open()


def test_spatial_data_is_stored_where_it_is_installed(sqlite_store: Store) -> None:
    spatialdata = pytest.importorskip("spatialdata", reason="it brings a hundred packages along")
    data = spatialdata.SpatialData(tables={"cells": matrix()})
    saved = ln.Artifact.from_spatialdata(data, key="s.zarr", run=False).save()
    assert (saved.otype, saved.n_observations) == ("SpatialData", 3)
    assert list(saved.load().tables) == ["cells"]


def test_what_cannot_be_loaded_is_called_by_its_key(store: Store, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/1.dcm").write_bytes(b"DICM")
    (tmp_path / "broken.json").write_text('{"a":')
    pd.to_pickle([1], tmp_path / "m.pkl")
    for name, error, said in (
        ("scans", errors.UnsupportedFormatError, "study/scans is a folder, which cannot be loaded into memory"),
        ("broken.json", errors.UnsupportedFormatError, "study/broken.json cannot be read as JSON"),
        ("m.pkl", errors.UnsupportedFormatError, "study/m.pkl is a pickle"),
    ):
        artifact = ln.Artifact(tmp_path / name, key=f"study/{name}", run=False).save()
        refusal = refused(error, artifact.load, said)
        # What it advises must be possible: a folder cannot be opened.
        assert name != "scans" or "open()" not in str(refusal)


def test_columns_of_one_name_are_refused_by_that_name(store: Store, refused: Refused) -> None:
    twice = pd.DataFrame([[1, 2]], columns=["depth", "depth"])
    artifact = ln.Artifact.from_dataframe(twice, key="t.parquet", run=False)
    refused(errors.UnsupportedFormatError, artifact.save, "several of its columns are called 'depth'")
