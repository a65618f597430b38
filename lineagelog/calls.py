"""`@tracked()`: each call of a function is a run of its own, started by the run around it.

A call begins its run when it begins to work and ends it when it ends: a generator's run spans all of its iteration, a coroutine's
all of its awaiting. The run is the current one for what the call does, in its own thread and its own task; threads it starts
get it by `run.bind(function)`, which also reaches workers in other processes.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, overload

from lineagelog import current
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.run import EnvironmentRecorded
from lineagelog.domain.transform import check_uid
from lineagelog.domain.values import Json, check_json, check_name
from lineagelog.record import BaseRecord
from lineagelog.run import Run, entered, run_ended_by
from lineagelog.transform import Transform

P = ParamSpec("P")
T = TypeVar("T")

MAX_PARAMETER_BYTES: Final = 4_096
"""Longest JSON form in which an argument is recorded by value; of what is longer, the type and size are."""

_MAX_ITEMS: Final = 100
_MAX_DEPTH: Final = 4


@overload
def tracked(function: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def tracked(
    *, key: str | None = None, uid: str | None = None, version: str | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def tracked(
    function: Callable[P, T] | None = None,
    /,
    *,
    key: str | None = None,
    uid: str | None = None,
    version: str | None = None,
) -> Callable[P, T] | Callable[[Callable[P, T]], Callable[P, T]]:
    """Make each call of a function a run of its own.

    Works on functions, methods, generators, coroutines and asynchronous generators, also in threads and process pools. The source
    of the function is a version of a transform of type `function`. Arguments are the run's parameters: by value where they
    are plain and small, by uid where they are records, else by type and size; what looks like a secret is redacted. An
    exception ends the run as failed and goes on to the caller.

    Args:
        function: The function; left away in `@tracked()`.
        key: Name of the transform; file or module and name of the function by default, such as `train.py:fit`.
        uid: 12 characters that keep a renamed function one family.
        version: Version tag of the transform.

    Raises:
        TypeError: What is decorated is no function.
    """
    name = check_name(key, "the transform key") if key is not None else None
    stem = check_uid(uid) if uid is not None else None

    def decorate(target: Callable[P, T]) -> Callable[P, T]:
        return _wrap(_Tracked(target, name, stem, version))

    return decorate if function is None else decorate(function)


class _Tracked:
    """A tracked function, and the transform it is in each store."""

    def __init__(self, function: Callable[..., Any], key: str | None, stem: str | None, version: str | None) -> None:
        if not inspect.isfunction(function):
            raise TypeError(
                f"@tracked() goes on a function, not on {function!r}; put it below @staticmethod, @classmethod or @property"
            )
        self.function = function
        self._key = key or f"{_origin(function)}:{function.__qualname__}"
        self._stem = stem
        self._version = version
        # Read when the module is: by the time of the call the file may be another.
        self._source = _source_of(function)
        self._signature = inspect.signature(function)
        first = next(iter(self._signature.parameters), None)
        self._receiver = first if "." in function.__qualname__ and first in ("self", "cls") else None
        self._transforms: dict[str, Transform] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Sent to another process by value, as Dask does with functions of a script, it takes no open store along.
        return self.__dict__ | {"_transforms": {}}

    def begin(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Run:
        """Start the run of one call.

        Raises:
            TypeError: The arguments do not fit the function.
        """
        store = current.current_store()
        transform = self._transforms.get(store.id)
        if transform is None:
            transform = store.Transform(
                self._key, type="function", version=self._version, source_code=self._source, uid=self._stem
            )
            transform.save()
            self._transforms[store.id] = transform
        bound = self._signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        params = {name: describe_argument(value) for name, value in bound.arguments.items() if name != self._receiver}
        run = store.Run(transform, params=params)
        around = current.current_run(store)
        if around is None or around.pid != os.getpid():
            # In the process of the run around it, the environment is that run's.
            run._environment = _environment(os.getpid())
        return run._begin_here()


def _wrap(tracked_function: _Tracked) -> Callable[..., Any]:
    """Make the function that is called in place of the tracked one, of the same kind."""
    function, begin = tracked_function.function, tracked_function.begin

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate_async(*arguments: Any, **keywords: Any) -> AsyncGenerator[Any, Any]:
            run = begin(arguments, keywords)
            inner = function(*arguments, **keywords)
            step: Callable[[], Any] = functools.partial(anext, inner)
            with run_ended_by(run):
                while True:
                    # The run is current only while the generator itself is at work, not while its consumer is.
                    with entered(run):
                        try:
                            item = await step()
                        except StopAsyncIteration:
                            return
                    try:
                        step = functools.partial(inner.asend, (yield item))
                    except GeneratorExit:
                        with entered(run):
                            await inner.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown into the outer generator, meant for the inner one
                        step = functools.partial(inner.athrow, error)

        return iterate_async

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def await_it(*arguments: Any, **keywords: Any) -> Any:
            run = begin(arguments, keywords)
            with run_ended_by(run), entered(run):
                return await function(*arguments, **keywords)

        return await_it

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def iterate(*arguments: Any, **keywords: Any) -> Generator[Any, Any, Any]:
            run = begin(arguments, keywords)
            inner = function(*arguments, **keywords)
            with run_ended_by(run):
                # In a context of its own, the run is current only while the generator itself is at work.
                context = contextvars.copy_context()
                context.run(current.context_run().set, run)
                step: Callable[[], Any] = functools.partial(next, inner)
                while True:
                    try:
                        item = context.run(step)
                    except StopIteration as stop:
                        return stop.value
                    try:
                        step = functools.partial(inner.send, (yield item))
                    except GeneratorExit:
                        context.run(inner.close)
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown into the outer generator, meant for the inner one
                        step = functools.partial(inner.throw, error)

        return iterate

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        run = begin(arguments, keywords)
        with run_ended_by(run), entered(run):
            return function(*arguments, **keywords)

    return call


def describe_argument(value: object) -> Json:
    """Say what an argument was, in JSON: its value if that is plain and small, else what it is.

    Returns:
        The value; the uid of a record; or `type` and, where it has one, `shape`, `length` or `name`. Of lists and dictionaries each
        item, as long as they are small.
    """
    described = _described(value, 0)
    return described if len(json.dumps(described)) <= MAX_PARAMETER_BYTES else _kind_of(value)


def _described(value: object, depth: int) -> Json:
    if isinstance(value, BaseRecord):
        return value.uid if value._saved else f"unsaved {value.registry.name}"
    if depth < _MAX_DEPTH and isinstance(value, list | tuple) and len(value) <= _MAX_ITEMS:
        return [_described(item, depth + 1) for item in value]
    if depth < _MAX_DEPTH and isinstance(value, dict) and len(value) <= _MAX_ITEMS and all(map(_is_text, value)):
        return {name: _described(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | dict):
        return _kind_of(value)
    try:
        plain = check_json(value, "the argument")
    except InvalidValueError:
        return _kind_of(value)
    return plain if len(json.dumps(plain)) <= MAX_PARAMETER_BYTES else _kind_of(value)


def _is_text(key: object) -> bool:
    try:
        return isinstance(key, str) and check_json(key, "the key") == key
    except InvalidValueError:
        return False


def _kind_of(value: object) -> Json:
    kind = type(value)
    described: dict[str, Json] = {"type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")}
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        described["shape"] = list(shape)
    elif isinstance(value, str | bytes | list | tuple | set | frozenset | dict):
        described["length"] = len(value)
    elif callable(value) and hasattr(value, "__qualname__"):
        described["name"] = str(value.__qualname__)
    return described


@functools.lru_cache(maxsize=1)
def _environment(_pid: int) -> EnvironmentRecorded:
    from lineagelog.adapters import environment

    return environment.capture()


def _origin(function: Callable[..., Any]) -> str:
    """Name where a function was defined: its module, or the file that runs."""
    # What exec() makes has no module.
    module: str | None = function.__module__
    if module is None:
        return "interactive"
    if module not in ("__main__", "__mp_main__"):
        return module
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).name if file is not None else "interactive"


def _source_of(function: Callable[..., Any]) -> str | None:
    import textwrap

    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        # Typed at a prompt, or made by exec: there is no file to read it from.
        return None
