"""Which git commit a script comes from, asked of git itself without running anything the checkout configures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from lineagelog.domain.redaction import redact_url
from lineagelog.domain.run import GitState

MAX_DIFF_BYTES: Final = 10_000_000
"""Longest patch that is kept; larger ones hold data rather than code."""

_TIMEOUT_S: Final = 5.0
# A checkout may name programs of its own to run; a look at its state must start none of them.
_HARMLESS: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat")


def git_state(path: Path) -> GitState | None:
    """Describe the checkout a file lies in.

    Changes to tracked files count, in submodules as well; files that git does not know do not.

    Args:
        path: A script or folder.

    Returns:
        Commit, whether there are uncommitted changes, branch (`None` on a detached head), remote without credentials, and the
        path inside the checkout. `None` outside of a checkout, before its first commit, without git, and where git refuses a
        folder that belongs to somebody else.
    """
    path = path.resolve()
    checkout = _checkout_of(path)
    if checkout is None:
        return None
    status = _git(
        checkout,
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=no",
        "--ignore-submodules=none",
        "--no-renames",
    )
    if status is None:
        return None
    commit = branch = upstream = None
    dirty = False
    for line in status.splitlines():
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
        path=None if path == checkout else path.relative_to(checkout).as_posix(),
    )


def uncommitted(path: Path) -> bytes | None:
    """Return what the checkout a file lies in would commit now: its changes to tracked files, as `git diff HEAD` writes them.

    Args:
        path: A script or folder.

    Returns:
        The patch; `None` if there are no changes, or they are more than `MAX_DIFF_BYTES`.
    """
    checkout = _checkout_of(path.resolve())
    if checkout is None:
        return None
    # What a checkout names for showing differences would be run; submodules tell their changes themselves.
    patch = _run(checkout, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=diff", "HEAD")
    return patch if patch and len(patch) <= MAX_DIFF_BYTES else None


def _checkout_of(path: Path) -> Path | None:
    """Find the folder that holds `.git`: a folder, or in worktrees and submodules a file that points to one."""
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder
    return None


def _remote(checkout: Path, upstream: str | None) -> str | None:
    """Return the URL of the remote the branch follows, else of `origin`, else of the only one."""
    text = _git(checkout, "config", "--get-regexp", r"^remote\..*\.url$")
    urls: dict[str, str] = {}
    for line in (text or "").splitlines():
        key, _, url = line.partition(" ")
        # The first URL of a remote is the one that is fetched from.
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    followed = [name for name in urls if upstream is not None and upstream.startswith(f"{name}/")]
    for name in (*followed, "origin", *(urls if len(urls) == 1 else ())):
        if urls.get(name):
            return redact_url(urls[name])
    return None


def _git(checkout: Path, *arguments: str) -> str | None:
    output = _run(checkout, *arguments)
    return output.decode(errors="replace") if output is not None else None


def _run(checkout: Path, *arguments: str) -> bytes | None:
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
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
