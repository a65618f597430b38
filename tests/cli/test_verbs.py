"""Every command: one that changes something adds exactly the events it should, every other none. A new one has to be listed."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from lineagelog.cli import app, exits
from lineagelog.store import Store

for _name in app._MODULES:
    import_module(f"lineagelog.cli.{_name}")

CHANGES: Final[dict[str, tuple[str, list[str]]]] = {
    "login": (
        "HANDLE --email a@example.org --reason moved",
        ["user.updated.1", "user.logged_in.1", "user.logged_out.1"],
    ),
    "logout": ("", ["user.logged_out.1"]),
    "trash": ("UID --reason x", ["artifact.trashed.1"]),
    "restore": ("TRASHED --reason x", ["artifact.restored.1"]),
    "remove": ("UID --reason x --yes", ["artifact.deleted.1"]),
    "export": ("--all -o all.json", ["export.made.1"]),
    "fixture": ("--subject UID --anonymise -o fixture.jsonl", ["export.made.1"]),
    "checkpoint": ("", ["key.registered.1", "checkpoint.sealed.1"]),
    "key generate": ("", ["key.registered.1"]),
    "policy require-reason": ("--reason x", ["policy.changed.1"]),
    "storage register": ("elsewhere", ["storage.registered.1"]),
    "storage check": ("", ["storage.checked.1"]),
}
"""Commands that change something: their arguments, and the events they add."""

NO_EVENTS: Final[dict[str, str]] = {
    "whoami": "", "info": "", "log": "", "show": "UID", "artifacts": "", "runs": "", "transforms": "", "users": "",
    "lineage": "UID", "tree": ".", "query": "'ASK { ?s ?p ?o }'", "audit": "", "verify": "", "rebuild": "", "list": "",
    "storage list": "", "storage collect": "--dry-run", "policy show": "", "cache": "", "runs close": "--lost",
    "connect": "./mydata", "vocabulary": "", "key show": "", "prove": "UID -o proof.json",
}  # fmt: skip
"""Commands that ask, and their arguments."""

ELSEWHERE: Final = {"init", "delete", "run", "import mlflow", "import nextflow", "validate"}
"""Commands that make or end a whole store, run a program, import runs, or need no store; what they record is tested with them."""


def test_every_command_is_listed_once() -> None:
    tables = [set(CHANGES), set(NO_EVENTS), ELSEWHERE]
    assert set(app.COMMANDS) - set.union(*tables) == set(), "say in this file which events these commands add"
    assert set.union(*tables) - set(app.COMMANDS) == set(), "these commands are gone"
    assert sum(map(len, tables)) == len(set.union(*tables))


@pytest.mark.parametrize("name", [*CHANGES, *NO_EVENTS])
def test_a_command_adds_exactly_its_events(prov: Any, story: Any, name: str) -> None:
    arguments, expected = CHANGES.get(name, (NO_EVENTS.get(name, ""), []))
    Path("elsewhere").mkdir()
    if "TRASHED" in arguments:
        assert prov("trash", story.clean).code == exits.DONE
    if name == "prove":
        assert prov("checkpoint").code == exits.DONE
    for word, meant in (("TRASHED", story.clean), ("UID", story.clean), ("HANDLE", "ana")):
        arguments = arguments.replace(word, meant)
    with Store.open("mydata") as store:
        before = store.log.head().position
    result = prov(*name.split(), *shlex.split(arguments))
    assert result.code == exits.DONE, result.err
    with Store.open("mydata") as store:
        assert [event.topic for event in store.events(after=before)] == expected
