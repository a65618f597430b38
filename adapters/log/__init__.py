"""The event log: recorders for the `eventsourcing` library over SQLite and PostgreSQL, and the log built on them."""
