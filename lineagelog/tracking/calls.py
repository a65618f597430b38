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
from contextlib import suppress
from pathlib import Path
from types import CoroutineType
from typing import Any, Final, ParamSpec, TypeVar, overload

from lineagelog import current, message
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.run import EnvironmentRecorded
from lineagelog.domain.transform import check_uid
from lineagelog.domain.values import Json, check_json, check_name, name_of_file
from lineagelog.registries.record import BaseRecord
from lineagelog.registries.run import Run, entered, run_ended_by
from lineagelog.registries.transform import Transform
from lineagelog.tracking.handover import hand_over, take_given

P = ParamSpec("P")
T = TypeVar("T")

MAX_PARAMETER_BYTES: Final = 4_096
"""Longest JSON form in which an argument is recorded by value; of what is longer, the type and size are."""

_ITSELF: Final = "__lineagelog_tracked__"
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
    exception ends the run as failed and goes on to the caller. A function that is tracked already stays as it is.

    Args:
        function: The function; left away in `@tracked()`.
        key: Name of the transform; file or module and name of the function by default, such as `train.py:fit`.
        uid: 12 characters that keep a renamed function one family.
        version: Version tag of the transform.

    Raises:
        TypeError: What is decorated is no function, or tracked already under another name.
    """
    name = check_name(key, "the transform key") if key is not None else None
    stem = check_uid(uid) if uid is not None else None

    def decorate(target: Callable[P, T]) -> Callable[P, T]:
        if _is_tracked(target):
            if name or stem or version:
                raise TypeError(
                    f"{target.__qualname__}() is tracked already; name its key, uid or version where that is done"
                )
            return target
        wrapped: Callable[P, T] = _wrap(_Tracked(target, name, stem, version))
        setattr(wrapped, _ITSELF, wrapped)
        return wrapped

    return decorate if function is None else decorate(function)


class _Tracked:
    """A tracked function, and the transform it is in each store."""

    def __init__(self, function: Callable[..., Any], key: str | None, stem: str | None, version: str | None) -> None:
        if not inspect.isfunction(function):
            raise TypeError(f"@tracked() goes on a function, not on {_refused(function)}")
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
        bound = self._bound(arguments, keywords)
        bound.apply_defaults()
        params = {name: describe_argument(value) for name, value in bound.arguments.items() if name != self._receiver}
        run = store.Run(transform, params=params)
        around = current.current_run(store)
        if around is None or around.pid != os.getpid():
            # In the process of the run around it, the environment is that run's.
            run._environment = _environment(os.getpid())
        run._begin_here()
        take_given(run, bound.arguments.values())
        return run

    def _bound(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> inspect.BoundArguments:
        """Name the arguments of a call."""
        try:
            return self._signature.bind(*arguments, **keywords)
        except TypeError:
            # The signature of a decorated function is that of the one inside, which the decorator may call in its own way.
            outer = inspect.signature(self.function, follow_wrapped=False)
        try:
            return outer.bind(*arguments, **keywords)
        except TypeError as exc:
            raise TypeError(f"{self.function.__qualname__}() {exc}") from None


def _is_tracked(target: object) -> bool:
    # A decorator above this one copies the attribute to a function that is not tracked itself.
    return target is not None and getattr(target, _ITSELF, None) is target


def _refused(target: object) -> str:
    """Say what something is that cannot be tracked, and what to do instead."""
    name = getattr(target, "__qualname__", type(target).__qualname__)
    if isinstance(target, staticmethod | classmethod | property | functools.cached_property):
        return f"a {type(target).__qualname__}; put it below @{type(target).__qualname__}"
    if isinstance(target, functools.partial):
        return "a partial; track the function it is made of: partial(ln.tracked()(function), …)"
    if hasattr(target, "cache_info"):
        return (
            "a cache; put it below @cache or @lru_cache, since only what is not in the cache is a call of the function"
        )
    if isinstance(target, type):
        return f"the class {name}; put it on the methods that do the work"
    if inspect.ismethod(target):
        return f"the method {name} of an object; put it above the method in the class"
    if isinstance(target, str):
        return f"a text; name the transform by @ln.tracked(key={target!r})"
    return f"{name}, which is not written in Python or no function; call it in a function of your own, and track that"


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
                    hand_over(run, item)
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
                result = await function(*arguments, **keywords)
            hand_over(run, result)
            return result

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
                        hand_over(run, stop.value)
                        return stop.value
                    hand_over(run, item)
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
            result = function(*arguments, **keywords)
        hand_over(run, result)
        if isinstance(result, CoroutineType):
            message.warn_once(
                f"the run of {function.__qualname__}() has ended before what it returned was awaited: put @tracked() right above "
                "`async def`, below other decorators"
            )
        return result

    return call


def describe_argument(value: object) -> Json:
    """Say what an argument was, in JSON: its value if that is plain and small, else what it is.

    Nothing that an argument does when it is looked at, be it slow or an error, keeps the call from its work.

    Returns:
        The value; the uid of a record; or `type` and, where it has one, `shape`, `length` or `name`. Of lists and dictionaries each
        item, as long as all of them together are small.
    """
    try:
        return _described(value, 0, [MAX_PARAMETER_BYTES])
    except _TooLongError:
        return _kind_of(value)


class _TooLongError(Exception):
    """The argument is longer than what is recorded by value."""


def _described(value: object, depth: int, budget: list[int]) -> Json:
    try:
        if depth < _MAX_DEPTH and isinstance(value, list | tuple) and len(value) <= _MAX_ITEMS:
            _spend(2, budget)
            return [_described(item, depth + 1, budget) for item in value]
        if depth < _MAX_DEPTH and isinstance(value, dict) and len(value) <= _MAX_ITEMS and all(map(_is_text, value)):
            _spend(2 + sum(map(len, value)), budget)
            return {name: _described(item, depth + 1, budget) for name, item in value.items()}
        described = _plain(value)
    except _TooLongError:
        raise
    except Exception:  # noqa: BLE001 - any object may come, and look like a number or a list
        described = _kind_of(value)
    _spend(len(json.dumps(described)) + 2, budget)
    return described


def _spend(size: int, budget: list[int]) -> None:
    budget[0] -= size
    if budget[0] < 0:
        raise _TooLongError


def _plain(value: object) -> Json:
    if isinstance(value, BaseRecord):
        return value.uid if value._saved else f"unsaved {value.registry.name}"
    if isinstance(value, list | tuple | dict) or (isinstance(value, str | bytes) and len(value) > MAX_PARAMETER_BYTES):
        return _kind_of(value)
    plain = check_json(value, "the argument")
    return plain if len(json.dumps(plain)) <= MAX_PARAMETER_BYTES else _kind_of(value)


def _is_text(key: object) -> bool:
    try:
        return isinstance(key, str) and len(key) <= MAX_PARAMETER_BYTES and check_json(key, "the key") == key
    except InvalidValueError:
        return False


def _kind_of(value: object) -> Json:
    kind = type(value)
    described: dict[str, Json] = {"type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")}
    # Attributes and lengths may be computed, by code that fails.
    with suppress(Exception):
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
            described["shape"] = [int(size) for size in shape]
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
    main = sys.modules.get(module)
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    # Run by `python -m`, a function is the one that other code imports.
    if spec is not None and spec.name != "__main__":
        return str(spec.name)
    return name_of_file(Path(file).name) if file is not None else "interactive"


def _source_of(function: Callable[..., Any]) -> str | None:
    import textwrap

    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        # Typed at a prompt, or made by exec: there is no file to read it from.
        return None
