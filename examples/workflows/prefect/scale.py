"""Tasks of a Prefect flow: the flow is a run, and each of its tasks one that it started.

Run it as `python scale.py` below a folder with a store (`prov init --storage ./mydata`). Prefect starts a server of its own.
"""

from __future__ import annotations

import pandas as pd
from prefect import flow, task

import lineagelog as ln


@task
@ln.tracked()
def scale(number: int) -> int:
    ln.Artifact(pd.DataFrame({"x": [number * 10]}), key=f"parts/{number}.parquet").save()
    return number * 10


@flow
@ln.tracked()
def rescale(numbers: list[int]) -> int:
    return sum(future.result() for future in scale.map(numbers))


if __name__ == "__main__":
    ln.track()
    print(rescale([1, 2, 3]))
