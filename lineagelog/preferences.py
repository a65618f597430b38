"""Settings of this process that a user may see and change."""

from __future__ import annotations

from typing import Final

from lineagelog.domain.errors import InvalidValueError

_VERBOSITY: Final = {"silent": 0, "warning": 1, "info": 2}


class Settings:
    """What may be changed.

    Attributes:
        track_run_inputs: `cache()`, `load()` and `open()` record the artifact as an input of the current run.
        progress_bars: Long work shows a bar when standard error is a terminal.
        verbosity: 0 silent, 1 warnings, 2 also what was done; the names `silent`, `warning`, `info` are accepted.
    """

    def __init__(self) -> None:
        self.track_run_inputs = True
        self.progress_bars = True
        self._verbosity = 2

    @property
    def verbosity(self) -> int:
        """How much is said."""
        return self._verbosity

    @verbosity.setter
    def verbosity(self, value: int | str) -> None:
        level = _VERBOSITY.get(value) if isinstance(value, str) else value
        if level is None or level not in _VERBOSITY.values():
            raise InvalidValueError("settings.verbosity", f"is {value!r}; it must be one of: {', '.join(_VERBOSITY)}")
        self._verbosity = level

    def __repr__(self) -> str:
        return (
            f"Settings(track_run_inputs={self.track_run_inputs}, progress_bars={self.progress_bars}, "
            f"verbosity={self.verbosity})"
        )


settings: Final = Settings()
