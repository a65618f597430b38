from __future__ import annotations

import asyncio
import contextvars
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import current
from lineagelog.store import Store
from lineagelog.tracking import calls

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


@ln.tracked()
def scale(table: pd.DataFrame, factor: float = 2.0, *, api_key: str = "k-123456") -> pd.DataFrame:
    """Multiply."""
    return table * factor


@ln.tracked
def outer(number: int) -> int:
    return inner(number) + 1


@ln.tracked
def inner(number: int) -> int:
    ln.Artifact.from_dataframe(pd.DataFrame({"n": [number]}), key=f"{number}.parquet").save()
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number


@ln.tracked
def count_to(limit: int) -> Iterator[int]:
    told = 0
    while told < limit:
        assert _current().params == {"limit": limit}
        told += (yield told) or 1
    return limit


def _current() -> ln.Run:
    run = ln.current_run()
    assert run is not None
    return run


def test_a_call_is_a_run_of_its_function(store: Store) -> None:
    assert scale(pd.DataFrame({"x": [1, 2, 3]})).x.tolist() == [2, 4, 6]
    run = store.Run.get()
    assert run.status == "finished"
    assert run.params == {
        "table": {
            "type": "pandas.core.frame.DataFrame" if pd.__version__ < "3" else "pandas.DataFrame",
            "shape": [3, 1],
        },
        "factor": 2.0,
        "api_key": "[redacted]",
    }
    transform = run.transform
    assert (transform.type, transform.key) == ("function", f"{__name__}:scale")
    assert transform.source_code is not None
    assert transform.source_code.startswith("@ln.tracked()\ndef scale(")
    assert run.environment is not None
    assert scale.__doc__ == "Multiply."


def test_calls_nest_and_each_owns_what_it_saves(store: Store) -> None:
    with ln.Run(ln.Transform("pipeline")) as pipeline:
        assert outer(3) == 4
    first, second = store.Run.filter(transform__type="function").order_by("started_at")
    assert first.initiated_by_run == pipeline
    assert second.initiated_by_run == first
    assert store.Artifact.get(key="3.parquet").run == second
    assert ln.current_run() is None


def test_an_exception_fails_the_call_and_those_around_it(store: Store) -> None:
    with pytest.raises(ValueError, match="below 0"):
        outer(-1)
    runs = store.Run.all()
    assert [(run.status, run.error_type) for run in runs] == [("failed", "ValueError")] * 2
    assert "is below 0" in str(runs.first().error_traceback)


def test_a_record_is_a_parameter_by_its_uid(sqlite_store: Store) -> None:
    artifact = ln.Artifact.from_dataframe(pd.DataFrame({"n": [1]}), key="a.parquet", run=False).save()

    @ln.tracked()
    def read(data: ln.Artifact, label: Any = None) -> int:
        return len(data.load())

    assert read(artifact) == 1
    run = sqlite_store.Run.get()
    assert run.params == {"data": artifact.uid, "label": None}
    assert list(run.inputs) == [artifact]
    assert list(ln.Run.filter(params__data=artifact.uid)) == [run]


def test_long_and_strange_arguments_are_told_by_type_and_size(sqlite_store: Store) -> None:
    @ln.tracked()
    def take(*several: Any, **named: Any) -> None: ...

    take("x" * 10_000, {1, 2}, text="y" * 10_000, function=len, nothing=object())
    params = sqlite_store.Run.get().params
    assert params["named"] == {
        "text": {"type": "str", "length": 10_000},
        "function": {"type": "builtin_function_or_method", "name": "len"},
        "nothing": {"type": "object"},
    }
    assert params["several"] == [{"type": "str", "length": 10_000}, {"type": "set", "length": 2}]


def test_a_generator_runs_as_long_as_it_is_iterated(sqlite_store: Store) -> None:
    numbers = count_to(3)
    assert sqlite_store.Run.all().count() == 0
    assert next(numbers) == 0
    assert sqlite_store.Run.get().status == "started"
    assert ln.current_run() is None, "its consumer is not inside its run"
    assert numbers.send(2) == 2
    with pytest.raises(StopIteration) as stop:
        next(numbers)
    assert stop.value.value == 3
    assert sqlite_store.Run.get().status == "finished"


def test_a_generator_that_is_left_early_is_aborted_and_one_that_raises_failed(sqlite_store: Store) -> None:
    for number in count_to(5):
        if number == 1:
            break
    broken = count_to(5)
    next(broken)
    with pytest.raises(KeyError):
        broken.throw(KeyError("thrown in"))
    assert [run.status for run in sqlite_store.Run.all()] == ["aborted", "failed"]


def test_coroutines_that_run_at_once_keep_their_own_runs(store: Store) -> None:
    @ln.tracked()
    async def work(number: int) -> None:
        await asyncio.sleep(0.02)
        ln.Artifact.from_dataframe(pd.DataFrame({"n": [number]}), key=f"{number}.parquet").save()
        assert _current().params == {"number": number}

    @ln.tracked()
    async def stream(limit: int) -> AsyncIterator[int]:
        for number in range(limit):
            assert _current().params == {"limit": limit}
            yield number

    async def everything() -> list[int]:
        await asyncio.gather(*(work(number) for number in range(4)))
        found = []
        async for number in stream(3):
            assert ln.current_run() is None
            found.append(number)
        return found

    assert asyncio.run(everything()) == [0, 1, 2]
    assert {run.status for run in store.Run.all()} == {"finished"}
    for number in range(4):
        run = store.Artifact.get(key=f"{number}.parquet").run
        assert run is not None
        assert run.params == {"number": number}


def test_threads_keep_their_own_runs_and_a_bound_function_works_in_that_of_its_maker(store: Store) -> None:
    with ln.Run(ln.Transform("outer")) as run, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run.bind(inner), range(6))) == list(range(6))
        assert list(pool.map(run.bind(_current), ())) == []
        assert pool.submit(run.bind(_current)).result() == run
        assert pool.submit(contextvars.Context().run, partial(current.current_run, store)).result() is None
    assert {call.initiated_by_run for call in store.Run.filter(transform__type="function")} == {run}


def test_methods_are_functions_and_their_object_is_no_parameter(sqlite_store: Store) -> None:
    class Model:
        @ln.tracked()
        def fit(self, rounds: int) -> int:
            return rounds

        @classmethod
        @ln.tracked(key="Model.make", version="2")
        def make(cls, size: int) -> Model:
            return cls()

    assert Model.make(3).fit(7) == 7
    made, fitted = sqlite_store.Run.all()
    assert (made.params, fitted.params) == ({"size": 3}, {"rounds": 7})
    assert (made.transform.key, made.transform.version) == ("Model.make", "2")


class Hostile(Exception):
    """Fails whoever looks at it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    __repr__ = __str__ = __len__ = __eq__ = __iter__ = lambda self, *_: 1 / 0  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        (staticmethod(len), "below @staticmethod"),
        (property(len), "below @property"),
        (partial(print, 1), r"partial\(ln.tracked\(\)\(function\)"),
        (lru_cache(lambda: 1), "below @cache or @lru_cache"),
        (Hostile, "the class Hostile; put it on the methods"),
        (Path().exists, "above the method in the class"),
        (len, "in a function of your own"),
        (None, "in a function of your own"),
        ("study", "key='study'"),
    ],
)
def test_what_is_no_function_is_refused_with_advice(target: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        ln.tracked()(target)


def test_a_function_is_tracked_once_and_decorators_may_stand_on_both_sides(sqlite_store: Store) -> None:
    def with_five(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any) -> Any:
            return function(5, *arguments)

        return call

    @ln.tracked()
    @with_five
    @with_five
    def add(first: int, second: int) -> int:
        return first + second

    assert ln.tracked(add) is add
    with pytest.raises(TypeError, match="tracked already"):
        ln.tracked(key="another")(add)
    assert add() == 10, "the signature of the function inside is not that of the calls"
    above = ln.tracked()(with_five(outer))
    assert lru_cache(above)() == 6
    keys = [run.transform.key.rpartition(":")[2] for run in sqlite_store.Run.all()]
    assert [key.rpartition(".")[2] for key in keys] == ["add", "outer", "outer", "inner"]
    with pytest.raises(TypeError, match=r"outer\(\) missing a required argument: 'number'"):
        outer()  # type: ignore[call-arg]
    assert sqlite_store.Run.all().count() == 4


def test_an_argument_or_error_that_fails_whoever_looks_at_it_hides_nothing(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    @ln.tracked()
    def fail(*arguments: Any) -> None:
        raise arguments[0]

    with pytest.raises(Hostile):
        fail(Hostile(), [Hostile(), {"a": Hostile()}])
    run = sqlite_store.Run.get()
    kind = {"type": f"{__name__}.Hostile"}
    assert run.params == {"arguments": [kind, [kind, {"a": kind}]]}
    assert (run.status, run.error_type) == ("failed", "Hostile")
    assert "cannot be told: ZeroDivisionError" in str(run.error_message)
    assert "could not be ended" not in capsys.readouterr().err


def test_what_a_large_argument_costs_is_bounded(sqlite_store: Store) -> None:
    """Also where it is large by being nested: this one has 100 million items, of which each is small."""
    nested: Any = 0
    for _ in range(4):
        nested = [nested] * 100
    within_itself: list[Any] = []
    within_itself.append(within_itself)
    before = time.process_time()
    described = [calls.describe_argument(value) for value in (nested, [10**6] * 10**6, "x" * 10**8, within_itself)]
    assert time.process_time() - before < 1
    assert described[0] == {"type": "list", "length": 100}
    assert described[1] == {"type": "list", "length": 10**6}
    assert described[2] == {"type": "str", "length": 10**8}
    assert described[3] == [[[[{"type": "list", "length": 1}]]]]


def test_a_coroutine_that_is_awaited_after_its_run_is_pointed_out(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    @ln.tracked()
    @lambda function: wraps(function)(lambda: function())
    async def work() -> int:
        return 3

    assert asyncio.run(work()) == 3
    assert "put @tracked() right above `async def`" in capsys.readouterr().err


def test_process_pools_record_their_calls_in_the_run_that_started_them(store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import lineagelog as ln

        @ln.tracked()
        def double(number):
            return 2 * number

        if __name__ == "__main__":
            ln.track()
            for method in ("fork", "spawn"):
                with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
                    assert list(pool.map(double, range(3))) == [0, 2, 4]
        """,
        name="pool.py",
    )
    script = store.Run.get(transform__type="script")
    calls = store.Run.filter(transform__key="pool.py:double")
    assert calls.count() == 6
    assert {call.initiated_by_run for call in calls} == {script}
    assert {call.environment_id for call in calls} == {script.environment_id}
    assert {run.status for run in store.Run.all()} == {"finished"}


def test_a_program_started_in_a_run_is_in_that_run(sqlite_store: Store, run_script: RunScript, tmp_path: Path) -> None:
    """One that tracks itself is a run started by it; what another one saves belongs to it."""
    (tmp_path / "child.py").write_text("import lineagelog as ln\nln.track()\n")
    (tmp_path / "saver.py").write_text(
        "import lineagelog as ln, pandas as pd\nln.Artifact(pd.DataFrame({'a': [1]}), key='a.parquet').save()\n"
    )
    run_script(
        f"""
        import os, subprocess, sys
        import lineagelog as ln
        del os.environ["LINEAGELOG_STORE"]
        ln.connect({str(tmp_path / "store")!r})
        ln.track()
        for name in ("child.py", "saver.py"):
            subprocess.run([sys.executable, {str(tmp_path)!r} + "/" + name], check=True)
        ln.finish()
        assert "LINEAGELOG_RUN" not in os.environ
        """,
        name="parent.py",
    )
    parent = sqlite_store.Run.get(transform__key="parent.py")
    assert sqlite_store.Run.get(transform__key="child.py").initiated_by_run == parent
    assert sqlite_store.Artifact.get(key="a.parquet").run == parent
