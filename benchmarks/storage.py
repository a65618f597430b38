"""Bytes on their way into storage: one large file, many small ones, and a bucket, each beside the tools that only move bytes."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Figure, process_peak_mb, seconds
from lineagelog.adapters.storage import open_storage


def large_file(n_bytes: int = 2_000_000_000) -> Iterator[Figure]:
    """Put one large file, which hashes it, copies it and brings it to the disk."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(n_bytes // 50_000_000):
                file.write(os.urandom(50_000_000))
        os.sync()

        def by_tools() -> None:
            subprocess.run(["sha256sum", source], check=True, capture_output=True)
            subprocess.run(["cp", source, folder / "copy"], check=True)
            subprocess.run(["sync", folder / "copy"], check=True)

        peer = seconds(by_tools)
        (folder / "copy").unlink()
        os.sync()
        took = seconds(lambda: open_storage(folder / "root").put_file(source, "object"))
    yield Figure(
        f"one file of {n_bytes / 1e9:g} GB, hashed and stored",
        f"{took:.1f} s",
        "1.3x",
        f"`sha256sum`, `cp` and `sync` of it: {peer:.1f} s, ratio {took / peer:.2f}",
        took / peer < 1.3,
    )


def small_files(n: int = 10_000) -> Iterator[Figure]:
    """Put a folder of small files, durably."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        source = folder / "source"
        source.mkdir()
        for number in range(n):
            (source / f"{number:06d}").write_bytes(os.urandom(4096))
        os.sync()

        def by_tools() -> None:
            subprocess.run("sha256sum source/* >/dev/null && cp -r source copy", shell=True, check=True, cwd=folder)
            for path in (folder / "copy").iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())

        took = seconds(lambda: open_storage(folder / "root").put_folder(source, "object"))
        os.sync()
        peer = seconds(by_tools)
        code = (
            "import pathlib\nfrom lineagelog.adapters.storage import hash_local\n"
            f"hash_local(pathlib.Path({str(source)!r}))"
        )
        peak = process_peak_mb(code)
    yield Figure(
        f"a folder of {n:,} files of 4 KB, hashed and stored",
        f"{took:.1f} s, {took / n * 1e3:.2f} ms a file",
        "1.5x",
        f"`sha256sum`, `cp -r` and one fsync for each: {peer:.1f} s, ratio {took / peer:.2f}",
        took / peer < 1.5,
    )
    yield Figure("memory of hashing that folder", f"{peak:.0f} MiB", "100 MiB", "", peak < 100)


def bucket_upload(n_bytes: int = 200_000_000) -> Iterator[Figure]:
    """Upload one file to a server of the S3 protocol on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import boto3
        from moto.server import ThreadedMotoServer
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    storage = open_storage("s3://bucket/root", options={"key": "test", "secret": "test", "endpoint_url": url})
    try:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            source = Path(name) / "source"
            source.write_bytes(os.urandom(n_bytes))
            storage.exists("x")
            peer, took = [], []
            for _ in range(3):
                peer.append(seconds(lambda: client.upload_file(str(source), "bucket", uuid.uuid4().hex)))
                took.append(seconds(lambda: storage.put_file(source, uuid.uuid4().hex)))
    finally:
        client.close()
        server.stop()
    ratio = min(took) / min(peer)
    yield Figure(
        f"upload of {n_bytes / 1e6:g} MB to a bucket, hashed and proven",
        f"{min(took):.1f} s",
        "1.5x",
        f"`upload_file` of boto3: {min(peer):.1f} s, ratio {ratio:.2f}",
        ratio < 1.5,
    )


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "large-file": large_file,
    "small-files": small_files,
    "bucket-upload": bucket_upload,
}
