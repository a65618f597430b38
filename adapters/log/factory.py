"""The infrastructure factory by which applications of the `eventsourcing` library can use our log.

Set `PERSISTENCE_MODULE=lineagelog.adapters.log.factory` and `LINEAGELOG_DATABASE` to the path of a SQLite file or a
`postgresql://` URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.recorder import (
    SQLAggregateRecorder,
    SQLApplicationRecorder,
    SQLProcessRecorder,
    SQLTrackingRecorder,
)


class LogFactory(InfrastructureFactory[SQLTrackingRecorder]):
    """Makes recorders that share one database."""

    DATABASE: Final = "LINEAGELOG_DATABASE"
    CREATE_TABLE: Final = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        address = self.env.get(self.DATABASE)
        if not address:
            raise OSError(f"set {self.DATABASE} to the path of a SQLite file or a postgresql:// URL")
        self.database = connect(address if "://" in address else Path(address), create=True)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:  # noqa: ARG002 - the port's parameter
        """Make a recorder of streams."""
        return SQLAggregateRecorder(self.database, create=self._create())

    def application_recorder(self) -> ApplicationRecorder:
        """Make a recorder of streams and of the log."""
        return SQLApplicationRecorder(self.database, create=self._create())

    def tracking_recorder(
        self, tracking_recorder_class: type[SQLTrackingRecorder] | None = None
    ) -> SQLTrackingRecorder:
        """Make a recorder of positions, of a given class or the one that `TRACKING_RECORDER_TOPIC` names."""
        if tracking_recorder_class is None:
            topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
            tracking_recorder_class = resolve_topic(topic) if topic else SQLTrackingRecorder
        return tracking_recorder_class(self.database, create=self._create())

    def process_recorder(self) -> ProcessRecorder:
        """Make a recorder of events and positions together."""
        return SQLProcessRecorder(self.database, create=self._create())

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _create(self) -> bool:
        return strtobool(self.env.get(self.CREATE_TABLE) or "yes")
