"""The help: every command has examples, and they run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lineagelog.cli import app, exits

for _name in app._MODULES:
    import_module(f"lineagelog.cli.{_name}")

ROOT = Path(__file__).parents[2]
EXAMPLES = [(name, example) for name, described in app.COMMANDS.items() for example in described.examples]


def test_help_names_every_command_and_exit_code(prov: Any) -> None:
    result = prov("--help")
    assert result.code == exits.DONE
    for name in app.COMMANDS:
        group, _, own_name = name.rpartition(" ")
        listed = prov(group, "--help").out if group else result.out
        assert re.search(rf"^  {own_name} ", listed, re.MULTILINE), name
        assert re.search(rf"^  {group or own_name} ", result.out, re.MULTILINE), name
    for code, meaning in exits.MEANINGS.items():
        assert f"{code}  {meaning}" in result.out


def test_the_table_of_modules_names_the_commands_that_each_module_has() -> None:
    """A command line imports only the modules that the table gives for its first word."""
    found = {(info.callback.__module__, info.name) for info in app.app.registered_commands if info.callback}
    for word, group in app._groups.items():
        callbacks = [group.registered_callback, *group.registered_commands]
        found |= {(info.callback.__module__, word) for info in callbacks if info is not None and info.callback}
    assert found == {(f"lineagelog.cli.{name}", word) for name, words in app._MODULES.items() for word in words}


def test_no_command_prints_the_help_and_is_a_usage_error(prov: Any) -> None:
    assert prov().code == exits.USAGE
    assert prov().out.startswith("Usage: prov")


def test_version_is_printed(prov: Any) -> None:
    from lineagelog.domain.version import VERSION

    assert prov("--version").out == f"prov {VERSION}\n"


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_of_a_command_shows_its_examples_and_json_keys(prov: Any, name: str) -> None:
    result = prov(*name.split(), "--help")
    assert result.code == exits.DONE
    for example in app.COMMANDS[name].examples:
        assert example in result.out
    assert "With --json: " in result.out
    assert "--store" in result.out


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_example_runs(request: pytest.FixtureRequest, prov: Any, name: str, example: str) -> None:
    if name != "init":
        story = request.getfixturevalue("story")
        assert prov("checkpoint", "-o", "checkpoint.txt").code == exits.DONE
        if name == "restore":
            assert prov("trash", story.clean).code == exits.DONE
        if name == "import mlflow":
            pytest.importorskip("mlflow", reason="MLflow is not installed: `pip install mlflow-skinny`")
            shutil.copytree(ROOT / "tests" / "recorded" / "mlruns", "mlruns")
        if name == "import nextflow":
            shutil.copytree(ROOT / "examples" / "workflows" / "nextflow", ".", dirs_exist_ok=True)
        for file in ("provenance.trig", "provenance.json"):
            if file in example and name != "export":
                assert prov("export", "--all", "-o", file).code == exits.DONE
        example = example.replace("RUN_UID", story.run).replace("UID", story.clean).replace("HANDLE", "ana")
        if "VERIFIER_KEY" in example:
            example = example.replace("VERIFIER_KEY", prov("key", "show").out.strip())
    words = shlex.split(example)
    assert words[0] == "prov"
    result = prov(*words[1:])
    # Without --force a store is not deleted.
    assert result.code == (exits.REFUSED if example == "prov delete ./mydata" else exits.DONE), result.err
    if "--json" in words:
        assert result.out
        for line in result.out.splitlines():
            json.loads(line)
    for flag in ("-o", "--output"):
        if flag in words:
            assert Path(words[words.index(flag) + 1]).stat().st_size > 0


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_holds_no_placeholder(prov: Any, name: str) -> None:
    assert not re.search(r"\b(XX+|TODO|FIXME|TBD)\b|lorem", prov(*name.split(), "--help").out)
