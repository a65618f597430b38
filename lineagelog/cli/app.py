"""The command line as a whole: its commands, the options all of them share, and what an error becomes."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from lineagelog.cli import exits
from lineagelog.cli.output import Output, print_error
from lineagelog.domain.errors import LineageLogError, MissingPackageError
from lineagelog.domain.version import VERSION

if TYPE_CHECKING:
    from lineagelog.store import Store

SHOW_TRACEBACK: Final = "LINEAGELOG_TRACEBACK"
"""Environment variable that lets an error nobody expected show where it came from."""

_StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="PATH|URL|NAME", help="Store to work on; else LINEAGELOG_STORE, else the nearest upward."
    ),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
_QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no remarks and no progress.")]

_AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME|POSITION",
        help="See the store as it was: 2026-05-01T12:00 (UTC), a date (its first moment), how long ago (2h, 3d), or the number "
        "of an event.",
    ),
]

_ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept with what is changed.")]

_MODULES: Final = {
    "stores": ("init", "connect", "list", "delete", "login", "logout", "whoami", "info"),
    "programs": ("run", "runs"),
    "imports": ("import",),
    "logs": ("log",),
    "records": ("show", "artifacts", "runs", "transforms", "users", "lineage", "tree"),
    "disposal": ("trash", "restore", "remove"),
    "exports": ("export", "vocabulary", "validate", "query"),
    "fixtures": ("fixture",),
    "audits": ("audit", "verify", "checkpoint", "prove", "key", "rebuild"),
    "policies": ("policy",),
    "storages": ("storage",),
    "caches": ("cache",),
}
"""Modules of the commands, in the order of the help, and the first words of the commands in each."""

_GROUPS: Final = {
    "import": "Record what other systems have carried out: MLflow, Nextflow.",
    "key": "Make and show the keys that sign checkpoints.",
    "policy": "See and set what the store demands of those who change something.",
    "storage": "List storage locations, check the content that lies there, and remove what belongs to no artifact.",
}
"""First word of commands of two words, and what these have in common."""

_COMMANDS_WITH_MORE: Final = ("runs",)
"""Commands that are also the first word of others."""

_SHARED: Final = {"store": (_StoreOption, None), "json": (_JsonOption, False), "quiet": (_QuietOption, False)}
"""Options that may stand before the command or after it."""


@dataclass(slots=True)
class Call:
    """One call of the command.

    Attributes:
        address: Store that was named, `None` for the one that is found by itself.
        out: Where results go.
        as_of: Time or position of which the store is to be seen, `None` for the present.
        reason: Why what the command changes is changed.
    """

    address: str | None
    out: Output
    as_of: str | None = None
    reason: str | None = None

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the store to work on, as it was at the time or position that was named."""
        from lineagelog import api, current

        before = current._store
        current.set_current_store(None)
        opened = api.connect(self.address) if self.address is not None else current.current_store()
        try:
            if self.as_of is None:
                with opened.because(self.reason):
                    yield opened
            else:
                with _as_of(opened, self.as_of) as past:
                    yield past
        finally:
            opened.close()
            current.set_current_store(before)


def _as_of(store: Store, text: str) -> Store:
    """Open a store as it was, and say as of when that is."""
    from datetime import UTC, datetime

    from lineagelog import message
    from lineagelog.cli.moments import read_moment

    now = datetime.now(UTC)
    past = store.as_of(int(text) if text.isdecimal() else read_moment(text, "--as-of", now=now))
    head = past.log.head().position
    message.info(f"as of event {head}, recorded at {next(past.events(up_to=head, after=head - 1)).recorded_at}")
    return past


@dataclass(frozen=True, slots=True)
class Described:
    """What the help of a command says beside its options.

    Attributes:
        examples: Command lines; in them UID, RUN_UID and HANDLE stand for names of the reader's own store.
        json: What `--json` prints.
    """

    examples: tuple[str, ...]
    json: str


COMMANDS: Final[dict[str, Described]] = {}
"""Every command by its name, in the order of the help."""


def _epilog() -> str:
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exits.MEANINGS.items())
    return (
        f"\b\nExit codes:\n{codes}\n\n"
        'With --json, results are one JSON object on a line, and an error is {"error": {"class", "message", "exit_code"}} '
        "on standard error. `prov COMMAND --help` shows examples and the keys."
    )


_HELP_NAMES: Final = {"help_option_names": ["-h", "--help"]}

app: Final = typer.Typer(
    name="prov",
    help="Record where data come from, ask what became of them, and prove that nothing was altered.",
    epilog=_epilog(),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP_NAMES,
)
_groups: Final[dict[str, typer.Typer]] = {}


def _print_version(value: bool) -> None:
    if value:
        print(f"prov {VERSION}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _shared(
    context: typer.Context,
    store: _StoreOption = None,
    json: _JsonOption = False,
    quiet: _QuietOption = False,
    version: Annotated[  # noqa: ARG001 - its callback has answered and ended the call
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {"store": store, "json": json, "quiet": quiet}


def command(
    name: str,
    *,
    examples: Sequence[str],
    json: str,
    as_of: bool = False,
    changes: bool = False,
    options_first: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command: its docstring is the help, its parameters are the options.

    Args:
        name: Name of the command: one word, or two, the first of which is one of `_GROUPS` or `_COMMANDS_WITH_MORE`.
        examples: Command lines for the help; the tests run them.
        json: What `--json` prints, for the help.
        changes: It changes or takes away what was recorded, and may be told why with `--reason`.
        as_of: It only reads, and can be asked about the past with `--as-of`.
        options_first: Its options stand before its first argument; all that follows that belongs to it.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        COMMANDS[name] = Described(tuple(examples), json)
        group, _, own_name = name.rpartition(" ")
        text, epilog = inspect.getdoc(function), _help_end(COMMANDS[name])
        if name in _COMMANDS_WITH_MORE:
            _group(name).callback(invoke_without_command=True, help=text, epilog=epilog)(
                _with_shared(function, as_of=as_of, changes=changes)
            )
        else:
            settings = {"allow_interspersed_args": not options_first}
            (_group(group) if group else app).command(own_name, help=text, epilog=epilog, context_settings=settings)(
                _with_shared(function, as_of=as_of, changes=changes)
            )
        return function

    return register


def _group(name: str) -> typer.Typer:
    if name not in _groups:
        is_command = name in _COMMANDS_WITH_MORE
        _groups[name] = typer.Typer(no_args_is_help=not is_command, rich_markup_mode=None, context_settings=_HELP_NAMES)
        if is_command:
            # Its help is that of the command.
            app.add_typer(_groups[name], name=name)
        else:
            app.add_typer(_groups[name], name=name, help=_GROUPS[name])
    return _groups[name]


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: The words after `prov`.

    Returns:
        The exit code (`exits.MEANINGS`).
    """
    # Each module adds its commands; which of them runs decides what is imported beyond.
    for name in _modules_of(arguments):
        import_module(f"lineagelog.cli.{name}")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(list(arguments), prog_name="prov", standalone_mode=False)
    except typer.Abort:
        return exits.INTERRUPTED
    except Exception as exc:
        # Typer carries its own copy of click, whose error classes have no public name; they are known by what they do.
        if not hasattr(exc, "format_message"):
            raise
        return _usage_error(exc, as_json="--json" in arguments)
    return code if isinstance(code, int) else exits.DONE


def _modules_of(arguments: Sequence[str]) -> list[str]:
    """Name the modules that a command line needs: all of them, unless it begins with a command that is known."""
    return [name for name, words in _MODULES.items() if arguments[:1] and arguments[0] in words] or list(_MODULES)


def _with_shared(function: Callable[..., None], *, as_of: bool, changes: bool) -> Callable[..., None]:
    """Give a command the shared options, and a `Call` made of them as its first argument."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in _SHARED.items()
    ]
    if as_of:
        shared.append(inspect.Parameter("as_of", keyword, default=None, annotation=_AsOfOption))
    if changes:
        shared.append(inspect.Parameter("reason", keyword, default=None, annotation=_ReasonOption))
    context = inspect.Parameter("context", keyword, annotation=typer.Context)
    parameters = [context, *(parameter.replace(kind=keyword) for parameter in own), *shared]

    def call(**values: Any) -> None:
        context = values.pop("context")
        root = context.find_root()
        shared = {name: values.pop(name) or root.obj[name] for name in _SHARED}
        if context.invoked_subcommand is not None:
            # Another command follows, and this one is but the beginning of its name.
            root.obj = shared
            return
        point = values.pop("as_of", None)
        reason = values.pop("reason", None) if changes else None
        store, json, quiet = shared.values()
        code = _guarded(function, Call(store, Output(json=json, quiet=quiet), point, reason), values)
        if code:
            raise typer.Exit(code)

    # Typer reads the options off the signature and the annotations.
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    call.__name__, call.__module__ = function.__name__, function.__module__
    return call


def _guarded(function: Callable[..., None], call: Call, values: dict[str, Any]) -> int:
    """Run a command; an error becomes one line and an exit code."""
    from lineagelog.preferences import settings

    before = settings.verbosity
    if call.out.quiet:
        settings.verbosity = 0
    try:
        with _all_installed():
            function(call, **values)
        # What is still buffered must meet a closed pipe here, not when the interpreter ends. There may be no output at all.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return exits.PIPE_CLOSED
    except (LineageLogError, OSError, ValueError, KeyboardInterrupt) as exc:
        # What was printed before stays before the error.
        if sys.stdout is not None:
            with suppress(OSError):
                sys.stdout.flush()
        code = exits.exit_code(exc)
        print_error(_message(exc), kind=type(exc).__name__, code=code, as_json=call.out.json)
        return code
    except Exception as exc:
        if isinstance(exc, typer.Exit) or hasattr(exc, "format_message") or os.environ.get(SHOW_TRACEBACK):
            raise
        message = f"this should not happen ({type(exc).__name__}: {exc}); {SHOW_TRACEBACK}=1 shows where it does"
        print_error(message, kind=type(exc).__name__, code=exits.FAILED, as_json=call.out.json)
        return exits.FAILED
    finally:
        settings.verbosity = before
    return exits.DONE


@contextmanager
def _all_installed() -> Iterator[None]:
    """Say what to do where a package is missing that a command imports when it runs."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name is None:
            raise
        raise MissingPackageError(exc.name) from exc


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and not isinstance(error, LineageLogError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _usage_error(error: Any, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "prov"
    if not error.args[:1] or type(error).__name__ == "NoArgsIsHelpError":
        # No command at all: the help is the answer.
        print(error.format_message())  # noqa: T201
        return exits.USAGE
    message = f"{error.format_message()} (see `{path} --help`)"
    print_error(message, kind="UsageError", code=exits.USAGE, as_json=as_json)
    return exits.USAGE


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not stumble over it at its end."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)


def _help_end(described: Described) -> str:
    examples = "\n".join(f"  {example}" for example in described.examples)
    return f"\b\nExamples:\n{examples}\n\nWith --json: {described.json}"
