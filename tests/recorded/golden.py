"""Golden logs: what each released version has recorded, kept so that every later version reads it as it was.

    make golden   # record the log of this version, with every kind of event; for a new kind, and before a release
    make pins     # write down what this version makes of all golden logs; after a deliberate change of an export

Once a version is released its log is never recorded again. Beside it lies what is made of it: the tree head, the number of rows of
each table, and the SHA-256 of each export. `tests/lineagelog/test_golden.py` holds the present software against both.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

import lineagelog as ln
from lineagelog import current
from lineagelog.adapters.log.event_log import read_table
from lineagelog.domain.clock import SteppedClock, using
from lineagelog.domain.event import TOPICS
from lineagelog.domain.version import VERSION
from lineagelog.export import head_of
from lineagelog.exporters.export import NAMES, export
from lineagelog.projections import schema
from lineagelog.recording import open_recorded
from lineagelog.store import Store

LOGS = Path(__file__).parent / "logs"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
UNSTABLE = ("edges-parquet", "events-parquet")
"""Formats whose bytes depend on the version of the library that writes them."""


def record() -> Path:
    """Record the log of this version.

    Raises:
        SystemExit: It was released, or a kind of event is missing in what is told here.
    """
    path = LOGS / f"{VERSION}.jsonl"
    if path.exists() and f"## [{VERSION}]" in CHANGELOG.read_text():
        raise SystemExit(f"{VERSION} was released, and its log stays as it is; raise the version first")
    with tempfile.TemporaryDirectory() as folder, using(SteppedClock(datetime(2026, 1, 1, tzinfo=UTC))):
        os.environ |= {
            "XDG_CONFIG_HOME": f"{folder}/config",
            "XDG_CACHE_HOME": f"{folder}/cache",
            "LINEAGELOG_QUIET": "1",
        }
        os.chdir(folder)
        with Store.create(Path(folder) / "store", name="golden") as store, store.as_current():
            tell(store, Path(folder))
            missing = set(TOPICS) - {event.topic for event in store.events()}
            if missing:
                raise SystemExit(
                    f"tell a story in this file that holds these kinds of events: {', '.join(sorted(missing))}"
                )
            store.record_log(path)
    return path


def pins(store: Store) -> dict[str, Any]:
    """Say what the present software makes of a store."""
    made: dict[str, Any] = {}
    with store.log.database.snapshot() as snapshot:
        head = head_of(snapshot)
        made["n_events"], made["root"] = head.position, head.root
        made["rows"] = {table.name: sum(1 for _ in read_table(snapshot, table)) for table in schema.TABLES}
        made["exports"] = {}
        for name in NAMES:
            if name not in UNSTABLE:
                summary = export(
                    snapshot,
                    io.BytesIO(),
                    format=name,
                    head_position=head.position,
                    head_root=head.root,
                    software="golden",
                )
                made["exports"][name] = summary.sha256
    return made


def logs() -> Iterator[Path]:
    """List the golden logs."""
    yield from sorted(LOGS.glob("*.jsonl"))


def pin() -> None:
    """Write down what is made of every golden log."""
    for path in logs():
        with open_recorded(path) as store:
            path.with_suffix(".json").write_text(f"{json.dumps(pins(store), indent=1)}\n")
        print(f"pinned {path.with_suffix('.json')}")


def tell(store: Store, folder: Path) -> None:
    """Do everything that can be done to a store."""
    frames = [pd.DataFrame({"x": [number, number + 1]}) for number in range(9)]
    store.login("ada", name="Ada Lovelace")
    store.login("ada", email="ada@example.org", reason="moved")
    _annotations()
    raw = ln.Artifact(frames[0], key="raw.csv", description="as it came", run=False).save()
    clean = ln.Transform("clean.py", type="script", description="first").save()
    clean.description = "second"
    clean.save()
    with ln.Run(clean, name="Monday", params={"depth": 2, "where": {"site": ["a", None]}}) as run:
        raw.load()
        table = ln.Artifact(frames[1], key="clean.csv").save()
        _use(table, run)
    run.name = "Tuesday"
    run.save()
    with ln.Run(clean):
        ln.Artifact(frames[1], key="clean.csv").save()
    # Without a traceback, which would name the folders of this machine.
    ln.Run(ln.Transform("plot")).save().fail(ValueError("no such column"))
    ln.Run(ln.Transform("plot")).save().abort("SIGINT")
    _call(3)
    second = ln.Artifact(frames[2], key="raw.csv", run=False).save()
    second.description = "corrected"
    second.save(reason="typo")
    second.delete()
    second.restore()
    extra = ln.Artifact(frames[3], key="extra.csv", run=False).save()
    extra.delete()
    extra.delete(permanent=True, reason="consent withdrawn")
    with suppress(ln.errors.LineageLogError):
        extra.load()
    members = ln.Collection([raw, table], key="all").save()
    members.append(second)
    members.description = "everything"
    members.save()
    _storage(store, folder, raw)
    store.policy.set_require_reason()
    raw.description = "not told why"
    with suppress(ln.errors.LineageLogError):
        raw.save()
    with suppress(ln.errors.LineageLogError):
        store.login("nobody")
    store.export(folder / "all.json")
    store.checkpoint()
    store.logout()


@ln.tracked()
def _call(depth: int) -> int:
    return depth


def _annotations() -> None:
    kind = ln.ULabel("Quality", is_type=True).save()
    good = ln.ULabel("good", type=kind).save()
    good.description = "looked at"
    good.save()
    parent = ln.ULabel("fine").save()
    good.parents.add(parent)
    good.parents.remove(parent)
    sample = ln.Record("P53", type=ln.Record("Sample", is_type=True).save()).save()
    sample.description = "mutant"
    sample.save()
    mass = ln.Feature("mass", dtype="float", unit="g").save()
    mass.unit = "kg"
    mass.save()
    ln.Feature("site", dtype="str").save()
    project = ln.Project("Screen", url="https://example.org/screen").save()
    project.description = "of 2026"
    project.save()


def _use(table: ln.Artifact, run: ln.Run) -> None:
    for record in (table, run):
        record.labels.add(ln.ULabel.get(name="good"))
        record.records.add(ln.Record.get(name="P53"))
        record.projects.add(ln.Project.get(name="Screen"))
        record.features.add_values({"mass": 1.5, "site": "north"})
    table.features.add_values({"mass": 2.5}, reason="recalibrated")
    table.features.remove_values("site")
    table.labels.remove(ln.ULabel.get(name="good"))
    table.projects.remove(ln.Project.get(name="Screen"))


def _storage(store: Store, folder: Path, raw: ln.Artifact) -> None:
    elsewhere = ln.Storage("memory://elsewhere").save()
    elsewhere.description = "second disk"
    elsewhere.save()
    here = store.storage
    elsewhere.make_default()
    here.make_default()
    pickled = folder / "model.pkl"
    pd.Series([1]).to_pickle(pickled)
    ln.Artifact(pickled, key="model.pkl", run=False).save().load(trust=True)
    raw.verify()
    store.check_storage()
    left = folder / "store" / ".lineagelog" / "objects" / store.uid / "left.bin"
    left.write_bytes(b"left")
    os.utime(left, (0, 0))
    store.collect_orphans(older_than=timedelta(0))


if __name__ == "__main__":
    command = sys.argv[1:]
    if command == ["record"]:
        print(f"recorded {record()}")
        current.set_current_store(None)
        pin()
    elif command == ["pin"]:
        pin()
    else:
        raise SystemExit(__doc__)
