"""How long a PROV document takes to be checked, and how much memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Figure, process_peak_mb, seconds
from lineagelog.validation import validate_prov


def validate(n: int = 100_000) -> Iterator[Figure]:
    """Check a chain of runs that each derive from what the one before made."""
    from prov.model import ProvDocument

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain.json")
        path.write_text(json.dumps(_chain(n // 9)))
        taken = seconds(lambda: validate_prov(path))
        read = seconds(lambda: ProvDocument.deserialize(str(path)))
        yield Figure(
            f"check of a PROV-JSON document of {n // 9 * 9:,} statements",
            f"{taken:.1f} s",
            "30 s",
            f"`prov` only reads it: {read:.1f} s",
            taken < 30,
        )
        peak = process_peak_mb(f"from lineagelog.validation import validate_prov; validate_prov({str(path)!r})")
        yield Figure("memory of that check", f"{peak:.0f} MiB", "500 MiB", "", peak < 500)


def _chain(n: int) -> dict[str, dict[str, object]]:
    document: dict[str, dict[str, object]] = {"prefix": {"ex": "http://example.org/"}}

    def add(kind: str, name: str, **parts: str) -> None:
        document.setdefault(kind, {})[name] = {f"prov:{part}": value for part, value in parts.items()}

    for i in range(n):
        made, run, source = f"ex:e{i + 1}", f"ex:a{i}", f"ex:e{i}"
        add("entity", made)
        add("agent", f"ex:g{i}")
        add("activity", run, startTime="2026-01-01T00:00:00Z", endTime="2026-01-01T00:01:00Z")
        add("wasGeneratedBy", f"ex:n{i}", entity=made, activity=run)
        add("used", f"ex:u{i}", activity=run, entity=source)
        add("wasAssociatedWith", f"ex:w{i}", activity=run, agent=f"ex:g{i}")
        add("wasAttributedTo", f"ex:t{i}", entity=made, agent=f"ex:g{i}")
        add("specializationOf", f"_:s{i}", specificEntity=made, generalEntity="ex:family")
        add(
            "wasDerivedFrom",
            f"ex:d{i}",
            generatedEntity=made,
            usedEntity=source,
            activity=run,
            generation=f"ex:n{i}",
            usage=f"ex:u{i}",
        )
    return document


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"validate": validate}
