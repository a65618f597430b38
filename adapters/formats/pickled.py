"""Formats that run code while they are loaded: pickles, and what is built of them. Only where the caller trusts the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lineagelog.adapters.formats import importing
from lineagelog.adapters.formats.base import Format


def _load_pickle(path: Path, *, trust: bool = False) -> Any:
    import pickle

    assert trust
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - reached only where the caller trusts the file


def _load_joblib(path: Path, *, trust: bool = False) -> Any:
    assert trust
    return importing.module("joblib").load(path)


def _load_torch(path: Path, *, trust: bool = False) -> Any:
    assert trust
    return importing.module("torch").load(path, map_location="cpu", weights_only=False)


FORMATS: Final = (
    Format(name="pickle", suffixes=(".pkl", ".pickle"), load=_load_pickle, runs_code=True),
    Format(name="joblib", suffixes=(".joblib",), load=_load_joblib, runs_code=True, extra="lineagelog[joblib]"),
    Format(name="PyTorch", suffixes=(".pt", ".pth"), load=_load_torch, runs_code=True, extra="torch"),
)
