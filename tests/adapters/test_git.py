"""What git says of a checkout, asked of real ones."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lineagelog.adapters.git import git_state, uncommitted


def git(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    (path / "src").mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "src" / "run.py").write_text("1\n")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "first")
    return path


def test_a_clean_checkout(checkout: Path) -> None:
    (checkout / "not-added").touch()
    state = git_state(checkout / "src" / "run.py")
    assert state is not None
    assert (state.commit, state.dirty, state.branch, state.remote, state.path) == (
        git(checkout, "rev-parse", "HEAD"),
        False,
        "main",
        None,
        "src/run.py",
    )


def test_changes_to_tracked_files_are_dirt(checkout: Path) -> None:
    (checkout / "src" / "run.py").write_text("2\n")
    state = git_state(checkout)
    assert state is not None
    assert state.dirty
    assert state.path is None
    git(checkout, "add", ".")
    staged = git_state(checkout)
    assert staged is not None
    assert staged.dirty


def test_the_remote_is_told_without_credentials(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://user:SECRETSECRET@example.org/team/repo.git")
    state = git_state(checkout)
    assert state is not None
    assert state.remote == "https://example.org/team/repo.git"


def test_the_remote_the_branch_follows_comes_before_origin(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(checkout), "upstream.git")
    git(checkout, "remote", "add", "origin", "https://example.org/origin.git")
    git(checkout, "remote", "add", "team", str(tmp_path / "upstream.git"))
    git(checkout, "fetch", "-q", "team")
    git(checkout, "branch", "-q", "-u", "team/main")
    state = git_state(checkout)
    assert state is not None
    assert state.remote == str(tmp_path / "upstream.git")


def test_a_detached_head_has_no_branch(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")
    state = git_state(checkout)
    assert state is not None
    assert state.branch is None


def test_worktrees_and_submodules_are_checkouts_of_their_own(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = git_state(tmp_path / "side" / "src" / "run.py")
    assert side is not None
    assert (side.branch, side.path) == ("side", "src/run.py")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "trunk")
    git(outer, "submodule", "--quiet", "add", str(checkout), "inner")
    git(outer, "commit", "-q", "-m", "with a submodule")
    inner = git_state(outer / "inner" / "src" / "run.py")
    assert inner is not None
    assert (inner.commit, inner.path) == (git(checkout, "rev-parse", "main"), "src/run.py")
    (outer / "inner" / "src" / "run.py").write_text("changed\n")
    state = git_state(outer)
    assert state is not None
    assert state.dirty


def test_no_state_where_there_is_none(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) is None
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "-q")
    told: list[str] = []
    assert git_state(tmp_path / "new", told.append) is None
    assert told == [], "there is nothing to know yet"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: /nowhere")
    assert git_state(tmp_path / "broken", told.append) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout, told.append) is None
    assert told == [
        "the git commit of broken is not on record: git says: not a git repository: /nowhere",
        "the git commit of checkout is not on record: git is not installed",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")
def test_a_checkout_of_somebody_else_is_not_asked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkout.parent))
    assert git_state(checkout) is not None
    os.chown(checkout, 65534, 65534)
    os.chown(checkout / ".git", 65534, 65534)
    told: list[str] = []
    assert git_state(checkout, told.append) is None
    assert "dubious ownership" in told[0]
    assert f"git config --global --add safe.directory {checkout}" in told[0]


def test_programs_that_a_checkout_names_are_not_run_and_nothing_is_written(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(trap))
    git(checkout, "config", "core.pager", str(trap))
    hook = checkout / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    trap.rename(hook)
    git(checkout, "config", "core.fsmonitor", str(hook))
    git(checkout, "config", "diff.external", str(hook))
    git(checkout, "config", "diff.trap.textconv", str(hook))
    # The time stamp alone changes, which makes git want to refresh its index.
    os.utime(checkout / "src" / "run.py", (1, 1))
    before = (checkout / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    state = git_state(checkout)
    assert state is not None
    assert not state.dirty
    assert not (tmp_path / "sprung").exists()
    assert (checkout / ".git" / "index").read_bytes() == before
    (checkout / ".git" / "info" / "attributes").write_text("*.py diff=trap\n")
    (checkout / "src" / "run.py").write_text("changed = 1\n")
    patch = uncommitted(checkout)
    assert patch is not None
    assert b"+changed = 1" in patch.splitlines()
    assert not (tmp_path / "sprung").exists()


def notebook(source: str, shown: str) -> str:
    output = {"output_type": "stream", "name": "stdout", "text": shown}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [output], "source": source}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, indent=1)


def test_notebooks_are_compared_without_their_outputs_and_the_patch_says_so(checkout: Path) -> None:
    folder = checkout / "my study"
    folder.mkdir()
    for name in ("changed", "ran", "gone", "broken"):
        (folder / f"{name}.ipynb").write_text(notebook("x = 1\nx", "1"))
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "second")
    (folder / "changed.ipynb").write_text(notebook("x = 1\nx + 1", "2" * 1000))
    (folder / "ran.ipynb").write_text(notebook("x = 1\nx", "3" * 1000))
    (folder / "gone.ipynb").unlink()
    (folder / "broken.ipynb").write_text("{")
    (folder / "new.ipynb").write_text(notebook("y", "4" * 1000))
    git(checkout, "add", "my study/new.ipynb")
    (checkout / "src" / "run.py").write_text("2\n")
    patch = (uncommitted(checkout / "src" / "run.py") or b"").decode()
    assert patch.startswith("# Notebooks are compared by their cells: outputs, counts and metadata are left out.\n")
    assert "# my study/ran.ipynb: only outputs, counts or metadata differ\n" in patch
    assert "--- a/my study/changed.ipynb\t\n+++ b/my study/changed.ipynb\t\n" in patch
    assert "\n-x\n+x + 1\n" in patch
    assert "deleted file mode" in patch
    assert "\n+y\n" in patch
    assert "\n+{\n" in patch, "what cannot be read is told as it is"
    assert not any(number * 20 in patch for number in "234")
    assert patch.endswith("-1\n+2\n")
    # The rest is a patch as git makes it.
    git(checkout, "checkout", "-q", "--", "src")
    (checkout.parent / "a.diff").write_text(patch)
    git(checkout, "apply", "--exclude=*.ipynb", str(checkout.parent / "a.diff"))
    assert (checkout / "src" / "run.py").read_text() == "2\n"
