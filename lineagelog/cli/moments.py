"""Times as people type them: dates, times, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from lineagelog.domain.errors import InvalidValueError

_AGO: Final = re.compile(r"(\d{1,6})\s*([smhdw])")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

HELP: Final = "2026-11-21, 2026-11-21T14:30 (UTC), or how long ago: 30m, 2h, 3d, 1w"


def read_moment(text: str, what: str, *, now: datetime, end_of_day: bool = False) -> datetime:
    """Read a point in time.

    Args:
        text: Date, date and time (UTC if it names no zone), or a number with `s`, `m`, `h`, `d` or `w` for the time before now.
        what: Name of the option, for the error.
        now: The present moment, aware.
        end_of_day: A bare date means the end of that day, not its beginning.

    Raises:
        InvalidValueError: It is none of these.
    """
    text = text.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment + timedelta(days=1) if end_of_day and _DAY.fullmatch(text) else moment
    except (ValueError, OverflowError) as exc:
        raise InvalidValueError(what, f"is {text!r}, which is no time; write {HELP}") from exc
