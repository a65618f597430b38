"""Dask: each call of a tracked function is a run, whichever thread or process it happens in.

Run it as `python scale.py` below a folder with a store (`prov init --storage ./mydata`).
"""

from __future__ import annotations

import dask
import pandas as pd

import lineagelog as ln


@ln.tracked()
def scale(number: int) -> int:
    """Save one part; the run of this call is what made it."""
    ln.Artifact.from_dataframe(pd.DataFrame({"n": [number * 10]}), key=f"parts/{number}.parquet").save()
    return number * 10


@ln.tracked()
def total(numbers: list[int]) -> int:
    return sum(numbers)


def main() -> None:
    ln.track()
    for scheduler in ("threads", "processes"):
        parts = [dask.delayed(scale)(number) for number in (1, 2, 3)]
        print(scheduler, dask.delayed(total)(parts).compute(scheduler=scheduler, num_workers=2))
    # A run of a `with` block is known to its own thread only; bind() takes it to the workers.
    with ln.Run(ln.Transform("rescale")) as run:
        parts = [dask.delayed(run.bind(scale))(number) for number in (4, 5)]
        print("bound", sum(dask.compute(*parts, scheduler="threads")), sum(dask.compute(*parts, scheduler="processes")))
    ln.finish()


if __name__ == "__main__":
    main()
