"""The outside world: the event log on SQLite and PostgreSQL, storage, data formats, git, environments."""
