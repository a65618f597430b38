"""Which git commit a script comes from, asked of git itself without running anything the checkout configures."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lineagelog.domain.redaction import redact_url
from lineagelog.domain.run import GitState
from lineagelog.domain.values import unicode_text

MAX_DIFF_BYTES: Final = 10_000_000
"""Longest patch that is kept; larger ones hold data rather than code."""

_MAX_SAID: Final = 500
_TIMEOUT_S: Final = 5.0
# A checkout may name programs of its own to run; a look at its state must start none of them.
_HARMLESS: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat")
# What a checkout names for showing differences would be run as well.
_DIFF: Final = ("diff", "--no-ext-diff", "--no-textconv", "--no-color")
_NOTEBOOKS_DIFFER: Final = (
    "# Notebooks are compared by their cells: outputs, counts and metadata are left out.\n"
    "# The changes of other files can be applied: git apply --exclude='*.ipynb'\n"
)


class _GitError(Exception):
    """Git has not answered; the text says why."""


def git_state(path: Path, tell: Callable[[str], None] | None = None) -> GitState | None:
    """Describe the checkout a file lies in.

    Changes to tracked files count, in submodules as well; files that git does not know do not.

    Args:
        path: A script or folder.
        tell: Is told why nothing is known of a checkout: there is no git, or it refuses, as it does a folder of somebody else's.

    Returns:
        Commit, whether there are uncommitted changes, branch (`None` on a detached head), remote without credentials, and the
        path inside the checkout. `None` outside of a checkout, before its first commit, and where git says nothing.
    """
    path = path.resolve()
    checkout = _checkout_of(path)
    if checkout is None:
        return None
    try:
        return _state(path, checkout)
    except _GitError as exc:
        if tell is not None:
            tell(f"the git commit of {path.name} is not on record: {exc}")
        return None


def _state(path: Path, checkout: Path) -> GitState | None:
    """Ask git for the state of a checkout.

    Raises:
        _GitError: It does not answer.
    """
    status = _ask(
        checkout,
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=no",
        "--ignore-submodules=none",
        "--no-renames",
    )
    commit = branch = upstream = None
    dirty = False
    for line in status.decode(errors="replace").splitlines():
        if not line.startswith("# "):
            dirty = True
            continue
        name, _, value = line[2:].partition(" ")
        if name == "branch.oid":
            commit = value
        elif name == "branch.head" and value != "(detached)":
            branch = value
        elif name == "branch.upstream":
            upstream = value
    if commit is None or commit == "(initial)":
        return None
    return GitState(
        commit=commit,
        dirty=dirty,
        remote=_remote(checkout, upstream),
        branch=branch,
        path=None if path == checkout else unicode_text(path.relative_to(checkout).as_posix()),
    )


def uncommitted(path: Path) -> bytes | None:
    """Return what the checkout a file lies in would commit now: its changes to tracked files, as `git diff HEAD` writes them.

    Notebooks are compared by their cells, since their outputs would be most of the patch. It begins with a line that says so.

    Args:
        path: A script or folder.

    Returns:
        The patch; `None` if there are no changes, or they are more than `MAX_DIFF_BYTES`.
    """
    checkout = _checkout_of(path.resolve())
    if checkout is None:
        return None
    # Submodules tell their changes themselves.
    rest = _run(checkout, *_DIFF, "--submodule=diff", "HEAD", "--", ".", ":(exclude)*.ipynb")
    if rest is None:
        return None
    patch = _changed_notebooks(checkout) + rest
    return patch if patch and len(patch) <= MAX_DIFF_BYTES else None


def _changed_notebooks(checkout: Path) -> bytes:
    """Compare the notebooks of a checkout by their cells; those that cannot be read as git does."""
    from lineagelog.adapters.notebook import parse

    names = _run(checkout, "diff", "--name-only", "-z", "--no-renames", "--relative", "HEAD", "--", "*.ipynb")
    unread: list[str] = []
    same: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lineagelog-") as folder:
        for name in filter(None, (names or b"").decode(errors="surrogateescape").split("\0")):
            before = _run(checkout, "cat-file", "blob", f"HEAD:{name}")
            file = checkout / name
            try:
                after = file.read_bytes() if file.is_file() else None
                texts = {
                    side: parse(content, 0.0).as_text() for side, content in (("a", before), ("b", after)) if content
                }
            except (OSError, ValueError, RecursionError):
                unread.append(name)
                continue
            if len(set(texts.values())) == 1 and len(texts) == 2:
                same.append(f"# {name}: only outputs, counts or metadata differ\n")
            for side, text in texts.items():
                place = Path(folder) / side / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(text.encode(errors="replace"))
        for side in ("a", "b"):
            (Path(folder) / side).mkdir(exist_ok=True)
        # Beside the two names, the prefixes that git puts before them would be a second pair.
        cells = _run(
            Path(folder),
            *_DIFF,
            "--no-index",
            "--no-renames",
            "--src-prefix=",
            "--dst-prefix=",
            "a",
            "b",
            accepted=(0, 1),
        )
    plain = _run(checkout, *_DIFF, "HEAD", "--", *(f":(literal){name}" for name in unread)) if unread else b""
    told = _NOTEBOOKS_DIFFER + "".join(same) if cells or same else ""
    return told.encode(errors="surrogateescape") + (cells or b"") + (plain or b"")


def _checkout_of(path: Path) -> Path | None:
    """Find the folder that holds `.git`: a folder, or in worktrees and submodules a file that points to one."""
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder
    return None


def _remote(checkout: Path, upstream: str | None) -> str | None:
    """Return the URL of the remote the branch follows, else of `origin`, else of the only one."""
    text = _run(checkout, "config", "--get-regexp", r"^remote\..*\.url$")
    urls: dict[str, str] = {}
    for line in (text or b"").decode(errors="replace").splitlines():
        key, _, url = line.partition(" ")
        # The first URL of a remote is the one that is fetched from.
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    followed = [name for name in urls if upstream is not None and upstream.startswith(f"{name}/")]
    for name in (*followed, "origin", *(urls if len(urls) == 1 else ())):
        if urls.get(name):
            return redact_url(urls[name])
    return None


def _run(checkout: Path, *arguments: str, accepted: tuple[int, ...] = (0,)) -> bytes | None:
    try:
        return _ask(checkout, *arguments, accepted=accepted)
    except _GitError:
        return None


def _ask(checkout: Path, *arguments: str, accepted: tuple[int, ...] = (0,)) -> bytes:
    """Run git in a checkout.

    Raises:
        _GitError: There is no git, it ends with an error, or takes too long.
    """
    # Variables such as GIT_DIR, which hooks of git set for their programs, would point to another checkout.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *_HARMLESS, *arguments],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as exc:
        raise _GitError("git is not installed") from exc
    except OSError as exc:
        raise _GitError(f"git cannot be started: {exc.strerror}") from exc
    except subprocess.TimeoutExpired as exc:
        raise _GitError(f"git has not answered within {_TIMEOUT_S:g} s") from exc
    if done.returncode not in accepted:
        # It says what to do as well, on lines of its own.
        said = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("fatal: ")
        raise _GitError(f"git says: {redact_url(said[:_MAX_SAID])}")
    return done.stdout
