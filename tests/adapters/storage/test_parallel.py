"""Several things at once: in order, bounded, and stopped by the first error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lineagelog.adapters.storage.parallel import in_order
from lineagelog.adapters.storage.retry import ATTEMPTS, again


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.01 / (number + 1))
        return number * number

    assert list(in_order(slow_at_first, range(50), 4)) == [number * number for number in range(50)]
    assert list(in_order(slow_at_first, [])) == []


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = in_order(str, endless(), 3)
    assert [next(results) for _ in range(10)] == [str(number) for number in range(10)]
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 10 + 3 + 2


def test_the_first_error_is_raised_and_the_rest_does_not_begin() -> None:
    begun: list[int] = []
    before = threading.active_count()

    def fail_at_three(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(in_order(fail_at_three, range(1000), 4))
    assert len(begun) < 20
    assert threading.active_count() == before


def test_what_may_pass_is_tried_again_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for error, attempts in ((ConnectionResetError(), ATTEMPTS), (TimeoutError(), ATTEMPTS), (ValueError(), 1)):
        calls: list[int] = []

        def call(error: Exception = error, calls: list[int] = calls) -> None:
            calls.append(1)
            raise error

        with pytest.raises(type(error)):
            again(call)
        assert len(calls) == attempts
    assert max(waits) <= 1
    answers = iter([ConnectionResetError(), None])
    assert again(lambda: _raise_or_return(next(answers))) == "done"


def _raise_or_return(error: Exception | None) -> str:
    if error is not None:
        raise error
    return "done"
