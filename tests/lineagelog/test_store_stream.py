"""Facts about the store as a whole follow one another in its stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lineagelog.domain.errors import UserNotFoundError
from lineagelog.store import Store


def fail_to_log_in(store: Store, folder: Path) -> None:
    with pytest.raises(UserNotFoundError):
        store.login("nobody")


def export(store: Store, folder: Path) -> None:
    store.export(folder / "all.trig")


def seal(store: Store, folder: Path) -> None:
    store.checkpoint(folder / f"checkpoint-{store.log.head().position}.txt")


@pytest.mark.parametrize("act", [fail_to_log_in, export, seal])
def test_what_concerns_the_store_can_be_done_again_and_again(
    act: Callable[[Store, Path], None], store: Store, tmp_path: Path
):
    store.generate_key()
    before = store.log.head().position
    for _ in range(3):
        act(store, tmp_path)
    assert store.log.head().position == before + 3
    assert store.verify().ok
