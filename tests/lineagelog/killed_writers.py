"""Kill writers with SIGKILL at random moments of saving, again and again, and see what is left: `python killed_writers.py --help`.

After every fifty kills, and at the end, each save that was acknowledged must be there and intact, no record may be without its
content, and every byte that belongs to no record must be listed as an orphan; at the end all of them are collected.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from datetime import timedelta
from pathlib import Path

from lineagelog import location
from lineagelog.store import Store

CHECK_EVERY = 50
LONGEST_LIFE_S = 0.03
UID_LENGTH = 20


def write_until_killed(folder: Path, source: Path, out: int) -> None:
    """Save small files, a larger one and folders, and say before and after each what is done."""
    with Store.open(folder) as store:
        for number in range(1_000_000):
            os.write(out, b"S")
            os.write(out, f"A{save(store, source, number)}".encode())


def save(store: Store, source: Path, number: int) -> str:
    """Save something new, each fourth time a folder, and return its uid."""
    name = f"{os.getpid()}-{number}"
    if number % 4 == 3:
        path = source / name
        path.mkdir()
        for member in ("a", "b"):
            (path / member).write_text(f"{name} {member}")
    else:
        path = source / f"{name}.txt"
        path.write_text(name * (20_000 if number % 4 == 2 else 1))
    return store.Artifact(path, key=name, run=False).save().uid


def run_and_kill(folder: Path, source: Path, life_s: float) -> tuple[list[str], bool]:
    """Start a writer, and kill it some time after its first save began.

    Returns:
        Uids of the acknowledged artifacts, and whether a save was on its way.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            write_until_killed(folder, source, write_end)
        finally:
            # Whatever went wrong: this is no place from which to return into the loop of the parent.
            traceback.print_exc()
            os._exit(1)
    os.close(write_end)
    said = os.read(read_end, 1)
    time.sleep(life_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while block := os.read(read_end, 65_536):
        said += block
    os.close(read_end)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    text = said.decode()
    # What is shorter than a pipe's buffer is written at once or not at all.
    marks = re.findall(f"S|A[0-9A-Za-z]{{{UID_LENGTH}}}", text)
    return [mark[1:] for mark in marks if mark != "S"], marks[-1] == "S"


def check(store: Store, acknowledged: set[str]) -> int:
    """Hold what is on the disk against the log, and return the number of orphans."""
    log = store.verify()
    assert log.ok, log.to_text()
    report = store.check_storage()
    assert report.ok, report.to_text()
    registered = {row.uid: row.storage_path for row in store.Artifact.filter()}
    lost = acknowledged - registered.keys()
    assert not lost, f"{len(lost)} acknowledged artifacts are lost"
    (place,) = report.locations
    folder = Path(store.storage.root) / location.objects_of(store.uid)
    on_disk = {f"{location.objects_of(store.uid)}/{path.name}" for path in folder.iterdir()}
    listed = {orphan.path for orphan in place.orphans}
    unknown = on_disk - listed - set(registered.values())
    # A folder that was claimed for content and not filled holds no byte.
    filled = [path for path in unknown if any((Path(store.storage.root) / path).iterdir())]
    assert not filled, "bytes that are neither content nor orphans"
    return len(listed)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--db", help="URL of an empty PostgreSQL database; SQLite by default")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    n_in_flight = n_orphans = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as top:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = f"{top}/user"
        folder, source = Path(top, "store"), Path(top, "source")
        source.mkdir()
        os.environ["LINEAGELOG_QUIET"] = "1"
        # The first saves load what the writers then find loaded, so that they are killed while saving, not while importing.
        with Store.create(folder, db=options.db) as store:
            acknowledged = {save(store, source, number) for number in range(4)}
        for number in range(1, options.kills + 1):
            uids, in_flight = run_and_kill(folder, source, chance.uniform(0, LONGEST_LIFE_S))
            acknowledged.update(uids)
            n_in_flight += in_flight
            if number % CHECK_EVERY == 0 or number == options.kills:
                with Store.open(folder) as store:
                    n_orphans = check(store, acknowledged)
        with Store.open(folder) as store:
            assert store.collect_orphans().n_removed == 0, "young orphans were not spared"
            collected = store.collect_orphans(older_than=timedelta(0))
            assert collected.ok
            assert collected.n_removed == n_orphans
            assert check(store, acknowledged) == 0
            n_artifacts = store.Artifact.filter().count()
    n_leftovers = collected.locations[0].n_leftovers
    print(f"{options.kills} kills, {n_in_flight} of them while saving, in {time.monotonic() - started:.0f} s")
    print(f"{len(acknowledged)} saves acknowledged, none lost; {n_artifacts} artifacts, all intact")
    print(f"{n_orphans} orphans and {n_leftovers} unfinished writes, all collected")


if __name__ == "__main__":
    main(sys.argv[1:])
