"""Derivations as PROV: each output of a run comes of each input that the run had read by then.

There are more of them than of anything else, and most repeat what others say. So outputs and inputs are read apart, each once,
and joined here, which takes half the time of a join in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lineagelog.exporters.block import Block, Names
from lineagelog.exporters.mapping.rows import Ids, blocks_of, chunked, event_names, names, rows_of
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import Derivation
from lineagelog.projections.reader import Reader, Row

MAX_DERIVATIONS: Final = 10_000
"""A run's derivations (each output from each earlier input) are written up to this number …"""

DERIVATIONS_PER_EDGE: Final = 10
"""… or to this many for each of its inputs and outputs; beyond both none is, since usage and generation imply them."""

_MANY_INPUTS: Final = 200
"""Inputs of a run that has more of them are not held in memory but read again for each output."""


def count_omitted_derivations(reader: Reader, runs: Ids) -> dict[str, int]:
    """Count the derivations of each run that has too many of them to be written.

    Args:
        reader: One consistent view of the store.
        runs: Ids of the runs to look at; `None` for all.
    """
    return {str(run_id): int(pairs) for run_id, pairs in rows_of(reader, _DENSE_RUNS, runs)}


def is_dense(n_used: int, n_made: int) -> bool:
    """Tell whether a run has so many inputs and outputs that their derivations are not written."""
    n_derivations = n_used * n_made
    return n_derivations > MAX_DERIVATIONS and n_derivations > DERIVATIONS_PER_EDGE * (n_used + n_made)


class DerivationMapper:
    """Reads outputs and inputs of runs.

    Args:
        source: The records to export.
        omitted: How many derivations are not written, by the id of the run.
    """

    def __init__(self, source: Source, omitted: Mapping[str, int]) -> None:
        self._source = source
        self._artifacts = source.held("artifacts")
        self._runs = source.held("runs")
        self._omitted = omitted

    def derivations(self) -> Iterator[Block]:
        """Hand out from which inputs each output was derived."""
        for runs, generations, outputs, usages, inputs in blocks_of(self._pairs()):
            positions = zip(generations, usages, strict=True)
            derivations = Names([f"e{generation}-{usage}" for generation, usage in positions], "derivation")
            formal = (
                names("artifact", outputs),
                names("artifact", inputs),
                names("run", runs),
                event_names("generation", generations),
                event_names("usage", usages),
            )
            yield Block(Derivation, derivations, formal)

    def _pairs(self) -> Iterator[Row]:
        for run_ids, *outputs in self._source.columns(_OUTPUTS, self._source.ids("artifacts"), keep=self._is_written):
            inputs = self._inputs(frozenset(run_ids))
            for run_id, run, generation, output_id, output in zip(run_ids, *outputs, strict=True):
                for usage, input_id, input_ in inputs[run_id] if run_id in inputs else self._many_inputs(run_id):
                    # What was read later cannot be what it came of (constraint 42).
                    if usage < generation and input_id != output_id:
                        yield run, generation, output, usage, input_

    def _is_written(self, output: Row) -> bool:
        run_id = output[0]
        return run_id not in self._omitted and (self._runs is None or run_id in self._runs)

    def _inputs(self, runs: Iterable[str]) -> dict[str, list[Row]]:
        """Read the inputs of some runs that have not too many of them."""
        reader = self._source.reader
        many = {run_id for run_id, n_inputs in chunked(reader, _COUNTS, runs) if n_inputs > _MANY_INPUTS}
        inputs: dict[str, list[Row]] = {run_id: [] for run_id in runs if run_id not in many}
        for run_id, *input_ in self._held(chunked(reader, _INPUTS, inputs)):
            inputs[run_id].append(tuple(input_))
        return inputs

    def _many_inputs(self, run_id: str) -> Iterator[Row]:
        rows = self._source.reader.stream(_INPUTS.format(these="= ?"), (run_id,))
        return (row[1:] for row in self._held(rows))

    def _held(self, inputs: Iterator[Row]) -> Iterator[Row]:
        artifacts = self._artifacts
        return inputs if artifacts is None else (row for row in inputs if row[2] in artifacts)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_DENSE_RUNS: Final = f"""
    SELECT run_id, used * made FROM (
        SELECT run_id, SUM(CASE WHEN kind = 'used' THEN 1 ELSE 0 END) AS used,
            SUM(CASE WHEN kind = 'generated' THEN 1 ELSE 0 END) AS made
        FROM edges WHERE run_id {{these}} GROUP BY run_id) AS counted
    WHERE used * made > {MAX_DERIVATIONS} AND used * made > {DERIVATIONS_PER_EDGE} * (used + made)"""  # noqa: S608 - constants
_OUTPUTS: Final = """
    SELECT t.run_id, r.uid, t.position, a.id, a.uid
    FROM edges t JOIN runs r ON r.id = t.run_id JOIN artifacts a ON a.id = t.artifact_id
    WHERE t.kind = 'generated' AND t.artifact_id {these} ORDER BY t.position"""
_INPUTS: Final = """
    SELECT t.run_id, t.position, a.id, a.uid
    FROM edges t JOIN artifacts a ON a.id = t.artifact_id
    WHERE t.kind = 'used' AND t.run_id {these} ORDER BY t.position"""
_COUNTS: Final = "SELECT t.run_id, count(*) FROM edges t WHERE t.kind = 'used' AND t.run_id {these} GROUP BY t.run_id"
