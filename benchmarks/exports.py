"""How long an export takes, and how much memory, beside the libraries `prov` and rdflib with the same statements."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.foundation import append_history, empty_store
from benchmarks.measure import PEAK, Figure
from lineagelog.exporters.export import FORMATS, NAMES

_TIMED = """
import io, sys, time
import lineagelog as ln
store = ln.open({folder!r})
start = time.process_time()
{work}
print(time.process_time() - start)
"""
_OURS = "store.export({folder!r} + '/out', format={format!r}, record=False)"
_PROV = """
document = store.to_prov()
with open({folder!r} + '/theirs', 'wb') as out:
    document.serialize(out, format={format!r})
"""
# What is to be written is read from a file first, which rdflib needs less time for than for making it of statements.
_RDFLIB = """
import rdflib
store.export({folder!r} + '/in.nq', record=False)
graph = rdflib.Dataset()
graph.parse({folder!r} + '/in.nq', format='nquads')
graph.serialize({folder!r} + '/theirs', format={format!r})
"""

_PROV_FORMATS = {"prov-json": "json", "prov-n": "provn", "prov-xml": "xml", "prov-jsonld": "jsonld"}
_RDFLIB_FORMATS = {"n-quads": "nquads"}


def exports(n: int, *, peers: tuple[str, ...] = ("`prov`", "rdflib")) -> Iterator[Figure]:
    """Export a store of `n` artifacts in every format, beside these peers."""
    with empty_store() as store:
        append_history(store, 2 * n)
        folder = str(store.folder)

        def run(work: str, **names: str) -> tuple[float, float]:
            code = _TIMED.format(folder=folder, work=work.format(folder=folder, **names)) + PEAK
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True
            )
            taken, peak = done.stdout.split()[-2:]
            return float(taken), float(peak)

        _, idle = run("pass")
        for name in NAMES:
            taken, peak = run(_OURS, format=name)
            # Half of what a Parquet export needs is the library that writes it.
            bound = 200 if name.endswith("parquet") else 100
            beside, holds = "", peak < bound
            peer = "`prov`" if name in _PROV_FORMATS else "rdflib" if name in _RDFLIB_FORMATS else None
            if peer in peers:
                work, formats = (_PROV, _PROV_FORMATS) if name in _PROV_FORMATS else (_RDFLIB, _RDFLIB_FORMATS)
                theirs, their_peak = run(work, format=formats[name])
                times, less = theirs / taken, (their_peak - idle) / max(peak - idle, 1)
                beside = f"{peer} {theirs:.1f} s, {their_peak:,.0f} MiB: {times:.0f} times faster, {less:.0f} times less memory"
                holds = times >= 15 and less >= 50
            aim = "15 times faster, 50 times less memory" if beside else f"{bound} MiB"
            measured = f"{taken:.2f} s CPU, {peak:.0f} MiB ({idle:.0f} MiB before)"
            yield Figure(f"{name} export of {n:,} artifacts", measured, aim, beside, holds)
    assert set(_PROV_FORMATS) | set(_RDFLIB_FORMATS) <= set(FORMATS)


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"exports": partial(exports, 10_000)}
LONG: dict[str, Callable[[], Iterator[Figure]]] = {
    # rdflib needs 13 GB at this size, so it is left out.
    "exports-100000": partial(exports, 100_000, peers=("`prov`",)),
    "exports-million": partial(exports, 1_000_000, peers=()),
}
"""Benchmarks that take minutes and gigabytes, run if they are named."""
