"""Saves to a bucket through a network that breaks: a registered artifact has its bytes, and nothing is overwritten."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaigns.proxy import FAULTS, FaultyProxy
from campaigns.report import Report
from lineagelog.adapters.storage import s3
from lineagelog.domain.errors import LineageLogError
from lineagelog.store import Store

# The smallest that the protocol allows, so that uploads in parts take little time here.
_PART_BYTES = 5 << 20
_LARGE_BYTES = 2 * _PART_BYTES + 7


class Bucket:
    """A bucket with versions on a server of its own, seen without the proxy."""

    def __init__(self, url: str) -> None:
        """Make the bucket."""
        import boto3

        self.url = url
        self.name = f"b-{uuid.uuid4().hex}"
        self.client: Any = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=self.name)
        # With versions an overwritten object would have two.
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def problems(self, store: Store) -> Iterator[str]:
        """Compare every artifact of a store with the bucket."""
        versions: dict[str, int] = {}
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.name):
            for found in page.get("Versions", ()):
                versions[found["Key"]] = versions.get(found["Key"], 0) + 1
        for artifact in store.Artifact.filter():
            key = f"data/{artifact.storage_path}"
            if versions.get(key) != 1:
                yield f"{artifact.uid} has {versions.get(key, 0)} versions in the bucket"
                continue
            content = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            if hashlib.sha256(content).hexdigest() != artifact.hash:
                yield f"{artifact.uid} has other bytes than were registered"
        if not store.verify().ok:
            yield "the log does not verify"

    def n_unfinished(self) -> int:
        """Count the uploads in parts that were not ended."""
        return len(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ()))


def faults(folder: Path, runs: int, seed: int) -> Report:
    """Save and read files, each time with one fault in the network."""
    chance, report = random.Random(seed), Report()
    with _bucket() as bucket, FaultyProxy(bucket.url) as proxy, _store(folder, bucket, proxy.url) as store:
        saved: list[Any] = []
        for number in range(runs):
            large = chance.random() < 0.25
            content = chance.randbytes(_LARGE_BYTES if large else chance.randint(0, 60_000))
            path = folder / "source.bin"
            path.write_bytes(content)
            fault = FAULTS[number % len(FAULTS)]
            after = chance.randint(0, int(len(content) * 1.1) + 500)
            proxy.arm(fault, after_bytes=after, times=chance.randint(1, 2))
            try:
                artifact = store.Artifact(path, key=f"k{chance.randint(0, 4)}", run=False).save()
            except LineageLogError:
                report.refused[fault] += 1
            else:
                report.saved[fault] += 1
                saved.append(artifact)
                if artifact.hash != hashlib.sha256(content).hexdigest():
                    report.problems.append(f"run {number} ({fault}): the hash is not that of the file")
            if saved and chance.random() < 0.3:
                again = chance.choice(saved)
                proxy.arm(fault, after_bytes=chance.randint(0, again.size + 300))
                try:
                    target = folder / "read.bin"
                    store.storage_backend(again.storage_id).fetch(again.storage_path, target, expected=again.hash)
                    if hashlib.sha256(target.read_bytes()).hexdigest() != again.hash:
                        report.problems.append(f"run {number} ({fault}): what was read is not what was registered")
                except LineageLogError:
                    report.refused[f"{fault}, reading"] += 1
                else:
                    report.saved[f"{fault}, reading"] += 1
            proxy.arm("none")
        _check(bucket, store, report)
    return report


def kills(folder: Path, runs: int, seed: int) -> Report:
    """Kill a process at a random moment of its upload."""
    chance, report = random.Random(seed), Report()
    with _bucket() as bucket, FaultyProxy(bucket.url) as proxy, _store(folder, bucket, proxy.url) as store:
        path = folder / "source.bin"
        for number in range(runs):
            path.write_bytes(chance.randbytes(_LARGE_BYTES if number % 2 else 1_000_000))
            process = subprocess.Popen([sys.executable, "-c", _SAVE, str(folder), str(path)], stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
            process.stdout.close()
            if code not in (0, -signal.SIGKILL):
                report.problems.append(f"run {number}: the process ended with {code} before it was killed")
            killed = code != 0
            (report.refused if killed else report.saved)["kill"] += 1
        _check(bucket, store, report)
    return report


_SAVE = f"""
import sys
import lineagelog as ln

from lineagelog.adapters.storage import s3
s3.PART_BYTES = {_PART_BYTES}
store = ln.open(sys.argv[1] + "/store")
artifact = store.Artifact(sys.argv[2], key="killed.bin", run=False)
# From here on the time goes into the upload.
store.storage_backend(store.default_storage_id).exists("x")
print("ready", flush=True)
artifact.save()
"""


def _check(bucket: Bucket, store: Store, report: Report) -> None:
    report.problems += bucket.problems(store)
    backend = store.storage_backend(store.default_storage_id)
    backend.clean_leftovers(0)
    if bucket.n_unfinished():
        report.problems.append(f"{bucket.n_unfinished()} uploads in parts are left after cleaning")


@contextmanager
def _bucket() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bucket = Bucket(f"http://{host}:{port}")
    try:
        yield bucket
    finally:
        bucket.client.close()
        server.stop()


@contextmanager
def _store(folder: Path, bucket: Bucket, endpoint_url: str) -> Iterator[Store]:
    """Make a store whose content goes to the bucket, through the proxy."""
    settings = {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LINEAGELOG_QUIET": "1",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    before = {name: os.environ.get(name) for name in settings}
    part_bytes, s3.PART_BYTES = s3.PART_BYTES, _PART_BYTES  # type: ignore[misc]
    os.environ.update(settings)
    try:
        store = Store.create(folder / "store")
        store.Storage(f"s3://{bucket.name}/data").save().make_default()
        with store, store.as_current():
            yield store
    finally:
        s3.PART_BYTES = part_bytes  # type: ignore[misc]
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
