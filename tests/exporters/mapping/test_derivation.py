"""Derivations: the same of runs with few inputs, which are held in memory, and with many, which are read again."""

from __future__ import annotations

from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.mapping import derivation
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Derivation


@pytest.mark.parametrize("scope", [ALL, Scope("artifact", "00000000000table0000")], ids=["all", "upstream"])
def test_many_inputs_are_exported_as_few_are(
    rich: EventLog, scope: Scope, exporting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = exporting.statements(rich, scope)
    outputs = [statement.generated_entity for statement in few if isinstance(statement, Derivation) and statement.usage]
    assert max(map(outputs.count, outputs)) > 1
    monkeypatch.setattr(derivation, "_MANY_INPUTS", 1)
    assert exporting.statements(rich, scope) == few


def test_an_output_is_derived_from_what_its_run_had_read_by_then(rich: EventLog, exporting: Any) -> None:
    derived = [statement for statement in exporting.statements(rich) if isinstance(statement, Derivation)]
    pairs = {(str(found.generated_entity), str(found.used_entity)) for found in derived if found.usage}
    raw, folder, table, later = (f"artifact:{name:0>16}000{number}" for name, number in NAMES)
    assert {(table, raw), (table, folder), (later, table)} <= pairs
    assert (table, table) not in pairs
    assert (table, later) not in pairs


NAMES = (("raw", 0), ("folder", 0), ("table", 0), ("table", 1))
