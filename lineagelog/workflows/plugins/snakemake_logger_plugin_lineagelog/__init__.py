"""The logger plugin `lineagelog` of Snakemake: `snakemake --logger lineagelog` records a workflow.

Snakemake finds plugins by the names of top-level packages, so this one stands beside `lineagelog` and holds only what Snakemake
looks for.
"""

from dataclasses import dataclass, field
from logging import LogRecord
from typing import Any, Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from lineagelog.workflows.snakemake import Recorder


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options `--logger-lineagelog-…`; Snakemake reads their types at run time, as `Optional`.

    Attributes:
        store: Store to record in.
        project: Project the workflow belongs to.
    """

    store: Optional[str] = field(  # noqa: UP045 - the one form that Snakemake understands
        default=None,
        metadata={"help": "Folder or URL of the store; LINEAGELOG_STORE or the nearest upward by default."},
    )
    project: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "Project the workflow belongs to."}
    )


class LogHandler(LogHandlerBase):
    """Hands what Snakemake says about jobs to the recorder."""

    def __post_init__(self) -> None:
        self._recorder: Recorder | None = None
        if not self.common_settings.dryrun:
            from snakemake.logging import logger

            settings: Any = self.settings
            self._recorder = Recorder(settings.store if settings else None, settings.project if settings else None)
            # What plugins get through `emit` comes late, by a queue; a temporary file may be gone by then.
            logger.addHandler(self._recorder)

    def emit(self, record: LogRecord) -> None:
        """Do nothing: the recorder has heard it."""

    def close(self) -> None:
        """End the workflow on record."""
        if self._recorder is not None:
            self._recorder.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Snakemake keeps its own messages."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """It writes to a store."""
        return False

    @property
    def has_filter(self) -> bool:
        """No filter of Snakemake's, which drops what `--quiet` hides."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Nothing is formatted."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The graph follows from the files."""
        return False
