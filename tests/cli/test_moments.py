"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lineagelog.cli.moments import read_moment
from lineagelog.domain.errors import InvalidValueError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T14:30", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("2026-11-20 14:30:01.5", datetime(2026, 11, 20, 14, 30, 1, 500_000, tzinfo=UTC)),
        ("2026-11-20T14:30+02:00", datetime(2026, 11, 20, 12, 30, tzinfo=UTC)),
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
    ],
)
def test_dates_times_and_spans_are_read(text: str, moment: datetime) -> None:
    assert read_moment(text, "--since", now=NOW) == moment


def test_a_bare_date_can_mean_the_end_of_that_day() -> None:
    assert read_moment("2026-11-20", "--until", now=NOW, end_of_day=True) == datetime(2026, 11, 21, tzinfo=UTC)
    assert read_moment("2026-11-20T10:00", "--until", now=NOW, end_of_day=True).hour == 10


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "2026-13-01", "999999w", "-2h", "\x1b[0m", "9999-12-31T23:59-10:00"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="--since"):
        read_moment(text, "--since", now=NOW)
