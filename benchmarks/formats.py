"""Tables from memory: what saving a DataFrame adds to writing it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.foundation import empty_store
from benchmarks.measure import Figure, seconds

_AIM = 3.0


def frames(n: int = 1_000) -> Iterator[Figure]:
    """Save 1,000 small DataFrames, beside pandas' own `to_parquet`, which neither hashes nor waits for the disk."""
    import pandas as pd

    from lineagelog import Artifact, save

    def table(number: int) -> pd.DataFrame:
        return pd.DataFrame({"x": range(number, number + 100), "y": [0.5 * number] * 100, "name": ["a"] * 100})

    with empty_store(), tempfile.TemporaryDirectory() as folder:
        tables = [table(number) for number in range(n)]
        # The first of each pays for imports.
        tables[0].to_parquet(Path(folder) / "first.parquet")
        Artifact(table(n), key="first.parquet", run=False).save()

        def written() -> None:
            for number, frame in enumerate(tables):
                frame.to_parquet(Path(folder) / f"{number}.parquet")

        def together() -> None:
            save([Artifact(frame, key=f"a/{number}.parquet", run=False) for number, frame in enumerate(tables)])

        def one_by_one() -> None:
            for number, frame in enumerate(tables):
                Artifact(frame, key=f"b/{number}.parquet", run=False).save()

        beside = seconds(written)
        took = seconds(together)
        compared = f"to_parquet {beside / n * 1e3:.1f} ms each"
        yield Figure(
            f"save {n:,} DataFrames of 100 rows together", f"{took / n * 1e3:.1f} ms each, {took / beside:.1f} times",
            f"{_AIM:g} times", compared, took <= _AIM * beside,
        )  # fmt: skip
        took = seconds(one_by_one)
        yield Figure(
            "the same one by one, each safe before the next", f"{took / n * 1e3:.1f} ms each, {took / beside:.1f} times",
            "none", compared, True,
        )  # fmt: skip


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"frames": frames}
