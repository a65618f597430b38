"""Files made to harm: none runs code, reads other files, or takes the memory of the machine; each is one clear error.

Loading happens in processes of their own, which get half a gigabyte beyond what the libraries take.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from lineagelog.adapters.formats import Location, infer, load, open_lazily
from lineagelog.domain.errors import UnsupportedFormatError

_LIMITED = """
import json, os, resource, sys, time
from pathlib import Path
import numpy, pandas, pyarrow.dataset, pyarrow.parquet
from lineagelog.adapters.formats import Location, infer, load
from lineagelog.domain.errors import LineageLogError

for place in sys.argv[2:]:
    # A process for each file, which has the libraries already.
    if os.fork() == 0:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
        path = Path(place)
        began = time.monotonic()
        infer(Location.of(path), path.suffix)
        try:
            answer = f"loaded {type(load(path, ''.join(path.suffixes))).__name__}"
        except LineageLogError as exc:
            answer = f"{type(exc).__name__}: {exc}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([path.name, answer, time.monotonic() - began, peak]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, place
"""


def _png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _bomb_of_aliases() -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(levels)


def _npy_claiming(*shape: int) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return out.getvalue()


def _write_bombs(folder: Path) -> list[Path]:
    # One run-length encoded page for each row group stands for eighty million rows.
    column = pa.array(np.zeros(10_000_000, dtype="int64"))
    with pq.ParquetWriter(folder / "rows.parquet", pa.schema([("x", pa.int64())]), compression="zstd") as writer:
        for _ in range(8):
            writer.write_table(pa.table({"x": column}), row_group_size=10_000_000)
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=1) as packed:
        packed.write(b"a\n")
        for _ in range(18):
            packed.write(b"1\n" * 2**22)
    (folder / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    (folder / "wide.json").write_text(json.dumps({f"key-{number}": number for number in range(1_000_000)}))
    (folder / "deep.yaml").write_text("[" * 100_000 + "]" * 100_000)
    (folder / "aliases.yaml").write_text(_bomb_of_aliases())
    (folder / "itself.yaml").write_text("a: &a [*a]")
    (folder / "pixels.png").write_bytes(_png_of(60_000, 60_000))
    (folder / "claim.npy").write_bytes(_npy_claiming(10**6, 10**6))
    with (
        zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as file,
    ):
        file.write(_npy_claiming(36 * 2**21))
        for _ in range(36):
            file.write(bytes(2**24))
    with h5py.File(folder / "claim.h5ad", "w") as file:
        file.attrs["encoding-type"] = "anndata"
        # Nothing of it is stored: it is all fill value.
        file.create_dataset("X", shape=(10**6, 10**6), chunks=(1000, 1000), dtype="f8")
    return sorted(folder.iterdir())


def test_bombs_are_refused_before_they_go_off(tmp_path: Path) -> None:
    bombs = _write_bombs(tmp_path)
    assert sum(path.stat().st_size for path in bombs) < 100_000_000
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(2**29), *map(str, bombs)], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answers = {}
    print(done.stdout)
    for line in done.stdout.splitlines():
        name, answers[name], seconds, peak_bytes = json.loads(line)
        assert seconds < 10, f"{name} took {seconds} s"
        assert peak_bytes < 512_000_000, f"{name} took {peak_bytes} bytes"
    assert answers.pop("wide.json") == "loaded dict", "many keys are no attack"
    assert set(answers) == {path.name for path in bombs} - {"wide.json"}
    for name, answer in answers.items():
        assert answer.startswith("UnsupportedFormatError"), f"{name}: {answer}"
    for name in ("rows.parquet", "bomb.csv.gz", "claim.npy", "bomb.npz", "claim.h5ad"):
        assert "memory" in answers[name], answers[name]


class _Flag:
    """What a pickle makes of this writes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def test_no_code_in_a_file_runs(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    held = np.array([_Flag(flag)], dtype=object)
    for name in ("a.pkl", "a.pickle", "a.joblib", "a.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(_Flag(flag)))
    np.save(tmp_path / "a.npy", held, allow_pickle=True)
    np.savez(tmp_path / "a.npz", allow_pickle=True, held=held)
    (tmp_path / "a.yaml").write_text(
        f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{flag}]]"
    )
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(UnsupportedFormatError):
            load(path, path.suffix)
        infer(Location.of(path), path.suffix)
        with pytest.raises(UnsupportedFormatError) if path.suffix == ".npy" else _nothing():
            open_lazily(Location.of(path), path.suffix)
        assert not flag.exists(), path.name
    load(tmp_path / "a.pkl", ".pkl", trust=True)
    assert flag.exists(), "the attack works where it is let in"
    flag.unlink()
    load(tmp_path / "a.npy", ".npy", trust=True)
    assert flag.exists()


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _link(file: h5py.File, secret: Path) -> None:
    file["X"] = h5py.ExternalLink(str(secret), "/X")


def _stored_elsewhere(file: h5py.File, secret: Path) -> None:
    file.create_dataset("X", shape=(4,), dtype="u1", external=[(str(secret), 0, 4)])


def _view(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape=(2,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(secret), "X", shape=(2,))
    file.create_virtual_dataset("layers/deep/X", layout)


@pytest.mark.parametrize("lead_out", [_link, _stored_elsewhere, _view])
@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu"])
def test_a_file_that_reads_other_files_is_refused_by_name(
    tmp_path: Path, suffix: str, lead_out: Callable[[h5py.File, Path], None]
) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["X"] = np.ones(2)
    path = tmp_path / f"a{suffix}"
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file["obs/inside"] = np.ones(1)
        file["soft"] = h5py.SoftLink("/obs/inside")
        file["again"] = file["obs"]
        lead_out(file, secret)
    for read in (lambda: load(path, suffix), lambda: open_lazily(Location.of(path), suffix)):
        with pytest.raises(UnsupportedFormatError, match=r"not self-contained: /.*secret\.h5"):
            read()
    assert infer(Location.of(path), suffix).table_schema is None


def test_zarr_that_leads_out_or_holds_pickles_is_refused(tmp_path: Path) -> None:
    from numcodecs import Pickle

    flag = tmp_path / "flag"
    with_pickles = zarr.open_group(tmp_path / "pickles.zarr", mode="w", zarr_format=2)
    held = with_pickles.create_array("deep/X", shape=(1,), dtype="i8", filters=None)
    description = json.loads((tmp_path / "pickles.zarr/deep/X/.zarray").read_text())
    description |= {"dtype": "|O", "filters": [Pickle().get_config()], "compressor": None, "fill_value": 0}
    (tmp_path / "pickles.zarr/deep/X/.zarray").write_text(json.dumps(description))
    (tmp_path / "pickles.zarr/deep/X/0").write_bytes(pickle.dumps(np.array([_Flag(flag)], dtype=object)))
    assert held.shape == (1,)
    with_link = zarr.open_group(tmp_path / "link.zarr", mode="w")
    with_link.create_array("X", shape=(1,), dtype="i8")[:] = 1
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link.zarr/X/extra").symlink_to(tmp_path / "secret")
    for name, why in (("pickles.zarr", "pickle"), ("link.zarr", "link")):
        for read in (lambda p: load(p, ".zarr"), lambda p: open_lazily(Location.of(p), ".zarr")):
            with pytest.raises(UnsupportedFormatError, match=why):
                read(tmp_path / name)
    assert not flag.exists()


def test_schemas_of_hostile_tables_are_bounded_and_can_be_stored(tmp_path: Path) -> None:
    names = ["same", "same", "nul\0", "x" * 10_000, *(f"c{number}" for number in range(5_000))]
    table = pa.table([pa.array([1])] * len(names), names=names)
    pq.write_table(table, tmp_path / "wide.parquet")
    found = infer(Location.of(tmp_path / "wide.parquet"), ".parquet")
    assert found.n_variables == 5_004
    assert found.table_schema is not None
    assert list(found.table_schema)[:3] == ["same", "same.1", "nul\ufffd"]
    assert len(found.table_schema) == 1_000
    assert max(map(len, found.table_schema)) == 200


def test_damaged_files_are_content_all_the_same(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1] * 1000}).to_parquet(tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    for suffix in (".parquet", ".feather", ".csv", ".csv.gz", ".npy", ".h5ad", ".h5mu", ".zarr", ".json"):
        for damaged in (b"", b"\0" * 64, whole[:-20], b'"' * 1000):
            path = tmp_path / "object"
            path.write_bytes(damaged)
            found = infer(Location.of(path), suffix)
            assert found.table_schema is None or suffix.startswith(".csv")
