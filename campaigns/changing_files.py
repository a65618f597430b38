"""Saves of a file that somebody is writing to: what is registered is what is stored, or nothing is."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

from campaigns.report import Report
from lineagelog.adapters.storage import Storage, open_storage
from lineagelog.domain.errors import ContentChangedError

_SIZE_BYTES = 3 << 20


def changing_files(folder: Path, runs: int, seed: int) -> Report:
    """Put a file into a location on disk and one in memory while a thread writes to it at random moments."""
    report = Report()
    source = folder / "busy.bin"
    source.write_bytes(bytes(_SIZE_BYTES))
    locations = {"local": open_storage(folder / "root"), "memory": open_storage(f"memory://campaign-{seed}")}
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(source, stop, seed))
    writer.start()
    try:
        for number in range(runs):
            name = ("local", "memory")[number % 2]
            _put(locations[name], source, f"copy-{number}", name, report)
    finally:
        stop.set()
        writer.join()
    return report


def _put(location: Storage, source: Path, path: str, name: str, report: Report) -> None:
    try:
        stored = location.put_file(source, path)
    except ContentChangedError:
        report.refused[name] += 1
        if location.exists(path):
            report.problems.append(f"{path} was refused but stored")
        return
    report.saved[name] += 1
    with location.open_binary(path) as file:
        if hashlib.sha256(file.read()).hexdigest() != stored.hash:
            report.problems.append(f"{path} holds other bytes than its hash says")
    location.delete(path)


def _write(path: Path, stop: threading.Event, seed: int) -> None:
    chance = random.Random(seed)
    with path.open("r+b", buffering=0) as file:
        while not stop.wait(chance.uniform(0, 0.02)):
            file.seek(chance.randrange(_SIZE_BYTES - 16))
            file.write(chance.randbytes(16))
