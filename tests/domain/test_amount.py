from __future__ import annotations

import pytest

from lineagelog.domain.amount import n_bytes


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000_000_000_000, "2000.0 TB")]
)
def test_sizes_are_given_in_units(size: int, shown: str) -> None:
    assert n_bytes(size) == shown
