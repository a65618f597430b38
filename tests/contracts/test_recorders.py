"""The recorders and the factory against the cases that the `eventsourcing` library ships, on both databases."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import TrackingRecorder
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from eventsourcing.utils import Environment

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.factory import LogFactory
from lineagelog.adapters.log.recorder import (
    SQLAggregateRecorder,
    SQLApplicationRecorder,
    SQLProcessRecorder,
    SQLRecorder,
    SQLTrackingRecorder,
)
from lineagelog.domain.ids import new_id


class OnSQLite:
    """Mixed into a case: its database is a SQLite file."""

    @pytest.fixture(autouse=True)
    def _address(self, sqlite_address: Path) -> None:
        self.address: Path | str = sqlite_address


class OnPostgreSQL:
    """Mixed into a case: its database is a schema on the PostgreSQL server."""

    @pytest.fixture(autouse=True)
    def _address(self, postgresql_address: str) -> None:
        self.address: Path | str = postgresql_address


class UsesRecorder:
    """Mixed into a case: opens the recorder it asks for, and closes the database after the test."""

    address: Path | str
    recorder_class: type[SQLRecorder]

    def create_recorder(self) -> Any:
        database = connect(self.address, create=True)
        before = set(threading.enumerate())

        def close() -> None:
            # Some cases leave threads behind that are about to end.
            for thread in set(threading.enumerate()) - before:
                thread.join(10)
            database.close()

        self.addCleanup(close)  # type: ignore[attr-defined]
        return self.recorder_class(database)


class TestAggregateRecorderOnSQLite(OnSQLite, UsesRecorder, AggregateRecorderTestCase):
    recorder_class = SQLAggregateRecorder


class TestAggregateRecorderOnPostgreSQL(OnPostgreSQL, UsesRecorder, AggregateRecorderTestCase):
    recorder_class = SQLAggregateRecorder


class _Subscribes:
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()  # type: ignore[attr-defined]


class TestApplicationRecorderOnSQLite(OnSQLite, UsesRecorder, _Subscribes, ApplicationRecorderTestCase[Any]):
    recorder_class = SQLApplicationRecorder


class TestApplicationRecorderOnPostgreSQL(OnPostgreSQL, UsesRecorder, _Subscribes, ApplicationRecorderTestCase[Any]):
    recorder_class = SQLApplicationRecorder


class _NamesStreamsByText:
    def new_originator_id(self) -> str:
        return f"stream-{new_id()}"


class TestTextStreamsOnSQLite(OnSQLite, UsesRecorder, _NamesStreamsByText, AggregateRecorderTestCase):
    recorder_class = SQLAggregateRecorder


class TestTextStreamsOnPostgreSQL(OnPostgreSQL, UsesRecorder, _NamesStreamsByText, AggregateRecorderTestCase):
    recorder_class = SQLAggregateRecorder


class TestTrackingRecorderOnSQLite(OnSQLite, UsesRecorder, TrackingRecorderTestCase):
    recorder_class = SQLTrackingRecorder


class TestTrackingRecorderOnPostgreSQL(OnPostgreSQL, UsesRecorder, TrackingRecorderTestCase):
    recorder_class = SQLTrackingRecorder


class TestProcessRecorderOnSQLite(OnSQLite, UsesRecorder, ProcessRecorderTestCase):
    recorder_class = SQLProcessRecorder


class TestProcessRecorderOnPostgreSQL(OnPostgreSQL, UsesRecorder, ProcessRecorderTestCase):
    recorder_class = SQLProcessRecorder


class TestPositionsDoNotInterleaveOnSQLite(OnSQLite, UsesRecorder, NonInterleavingNotificationIDsBaseCase):
    recorder_class = SQLApplicationRecorder


class TestPositionsDoNotInterleaveOnPostgreSQL(OnPostgreSQL, UsesRecorder, NonInterleavingNotificationIDsBaseCase):
    recorder_class = SQLApplicationRecorder


class OwnTrackingRecorder(SQLTrackingRecorder):
    """A class of the user's own, as the factory accepts it."""


class _MakesRecorders:
    address: Path | str

    def setUp(self) -> None:
        self.env = Environment("Lineage")
        self.env["PERSISTENCE_MODULE"] = "lineagelog.adapters.log.factory"
        self.env[LogFactory.DATABASE] = str(self.address)
        super().setUp()  # type: ignore[misc]

    def expected_factory_class(self) -> type[LogFactory]:
        return LogFactory

    def expected_aggregate_recorder_class(self) -> type[SQLAggregateRecorder]:
        return SQLAggregateRecorder

    def expected_application_recorder_class(self) -> type[SQLApplicationRecorder]:
        return SQLApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[SQLTrackingRecorder]:
        return SQLTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return OwnTrackingRecorder

    def expected_process_recorder_class(self) -> type[SQLProcessRecorder]:
        return SQLProcessRecorder


class TestFactoryOnSQLite(OnSQLite, _MakesRecorders, InfrastructureFactoryTestCase[LogFactory]): ...


class TestFactoryOnPostgreSQL(OnPostgreSQL, _MakesRecorders, InfrastructureFactoryTestCase[LogFactory]): ...


# pytest would collect the imported and the abstract cases as well.
del (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)


@pytest.fixture
def environment() -> Environment:
    return Environment("Lineage", {"PERSISTENCE_MODULE": "lineagelog.adapters.log.factory"})


def test_factory_without_a_database_says_which_variable_to_set(environment: Environment) -> None:
    with pytest.raises(OSError, match="set LINEAGELOG_DATABASE to the path"):
        LogFactory.construct(environment)
