"""Bad input: one clear error, an exit code, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineagelog.cli import exits
from lineagelog.store import Store

BAD: list[tuple[str, list[str], int, str]] = [
    ("no such store", ["info", "--store", "./nothing"], exits.NOT_FOUND, "there is no store in"),
    ("no such store to connect", ["connect", "./nothing"], exits.NOT_FOUND, "there is no store in"),
    ("no such store to delete", ["delete", "./nothing", "--force"], exits.NOT_FOUND, "there is no store in"),
    ("no such checkpoint", ["verify", "--checkpoint", "nothing.txt"], exits.NOT_FOUND, "nothing.txt"),
    ("no checkpoint", ["verify", "--checkpoint", "raw.csv"], exits.REFUSED, "prov checkpoint"),
    ("no such question", ["query", "-f", "nothing.rq"], exits.NOT_FOUND, "nothing.rq"),
    ("no such export", ["query", "ASK {}", "--on", "nothing.trig"], exits.NOT_FOUND, "nothing.trig"),
    ("no such folder for an export", ["export", "--all", "-o", "no/p.json"], exits.REFUSED, "no/p.json"),
    ("no such folder for a picture", ["lineage", "UID", "-o", "no/p.svg"], exits.REFUSED, "no/p.svg"),
    ("no such folder for a checkpoint", ["checkpoint", "-o", "no/c.txt"], exits.REFUSED, "no/c.txt"),
    ("unknown user", ["log", "--who", "nobody"], exits.NOT_FOUND, "anonymous, ana"),
    ("unknown uid", ["show", "zzzzzzzz"], exits.NOT_FOUND, "zzzzzzzz"),
    ("a uid that is none", ["show", "../etc"], exits.NOT_FOUND, "../etc"),
    ("unknown uid of a record", ["log", "--record", "zzzzzzzz"], exits.NOT_FOUND, "zzzzzzzz"),
    ("unknown uid of a run", ["log", "--run", "zzzzzzzz"], exits.NOT_FOUND, "zzzzzzzz"),
    ("a uid that is no run", ["log", "--run", "UID"], exits.NOT_FOUND, "UID"),
    ("unknown uid in a lineage", ["lineage", "zzzzzzzz"], exits.NOT_FOUND, "zzzzzzzz"),
    ("unknown subject", ["export", "--subject", "zzzzzzzz", "-o", "p.json"], exits.NOT_FOUND, "zzzzzzzz"),
    ("ambiguous uid", ["show", "Same"], exits.REFUSED, "more than one"),
    ("ambiguous subject", ["export", "--subject", "Same", "-o", "p.json"], exits.REFUSED, "more than one"),
    ("unknown field", ["artifacts", "--where", "colour=red"], exits.REFUSED, "has no field 'colour'"),
    ("unknown lookup", ["artifacts", "--where", "key__sounds=x"], exits.REFUSED, "has no lookup 'sounds'"),
    ("value of another type", ["artifacts", "--where", "size=big"], exits.REFUSED, "size"),
    ("condition without a value", ["artifacts", "--where", "key"], exits.REFUSED, "FIELD=VALUE"),
    ("one condition twice", ["artifacts", "--where", "key=a", "--where", "key=b"], exits.REFUSED, "twice"),
    ("NaN in a condition", ["runs", "--where", "params__k=NaN"], exits.REFUSED, "nan"),
    ("unknown kind of event", ["log", "--what", "Coffee"], exits.REFUSED, "ArtifactRegistered"),
    ("no time", ["log", "--since", "yesterday"], exits.REFUSED, "--since"),
    ("a limit below 1", ["log", "--limit", "0"], exits.USAGE, "--limit"),
    ("init over a store", ["init", "--storage", "./mydata"], exits.REFUSED, "already"),
    ("name with a control character", ["init", "--storage", "new", "--name", "a\x07b"], exits.REFUSED, "U+0007"),
    ("name with NUL", ["init", "--storage", "new", "--name", "a\x00b"], exits.REFUSED, "U+0000"),
    ("name of two megabytes", ["init", "--storage", "new", "--name", "x" * 2_000_000], exits.REFUSED, "2000000"),
    ("unknown module", ["init", "--storage", "new", "--modules", "magic"], exits.REFUSED, "magic"),
    ("a user's name with NUL", ["login", "ana", "--name", "A\x00"], exits.REFUSED, "U+0000"),
    ("a user's name with an escape", ["login", "ana", "--name", "A\x1b[0mB"], exits.REFUSED, "U+001B"),
    ("a user's name that is no Unicode", ["login", "ana", "--name", "A\udcff"], exits.REFUSED, "lone surrogate"),
    ("a handle that is none", ["login", "a b"], exits.REFUSED, "user handle"),
    ("the anonymous handle", ["login", "anonymous"], exits.REFUSED, "anonymous"),
    ("neither --all nor --subject", ["export", "-o", "p.json"], exits.USAGE, "--subject"),
    ("both --all and --subject", ["export", "--all", "--subject", "UID", "-o", "p.json"], exits.USAGE, "--subject"),
    ("both --all and a condition", ["export", "--all", "--user", "ana", "-o", "p.json"], exits.USAGE, "a part"),
    ("a depth without a subject", ["export", "--user", "ana", "--depth", "1", "-o", "p.json"], exits.USAGE, "--subject"),
    ("no such user to export", ["export", "--user", "nobody", "-o", "p.json"], exits.NOT_FOUND, "nobody"),
    ("no such project to export", ["export", "--project", "nothing", "-o", "p.json"], exits.NOT_FOUND, "nothing"),
    ("no time to export from", ["export", "--since", "soon", "-o", "p.json"], exits.REFUSED, "soon"),
    (
        "an export of no time",
        ["export", "--since", "2026-02-02", "--until", "2026-01-01", "-o", "p.json"],
        exits.REFUSED,
        "nothing lies between",
    ),
    ("unknown format", ["export", "--all", "--format", "word", "-o", "p.json"], exits.REFUSED, "prov-json"),
    ("unknown suffix", ["export", "--all", "-o", "p.docx"], exits.REFUSED, "prov-json"),
    ("unknown direction of an export", ["export", "--subject", "UID", "--direction", "up", "-o", "p.json"], exits.REFUSED, "up"),
    ("unknown direction", ["lineage", "UID", "--direction", "up"], exits.REFUSED, "upstream"),
    ("depth below 1", ["lineage", "UID", "--depth", "0"], exits.REFUSED, "0"),
    ("unknown picture", ["lineage", "UID", "-o", "p.bmp"], exits.REFUSED, ".svg"),
    ("malformed question", ["query", "SELECT WHERE {"], exits.REFUSED, "malformed"),
    ("a question that leaves the machine", ["query", "SELECT * { SERVICE <http://x.org> { ?s ?p ?o } }"], exits.REFUSED, "SERVICE"),
    ("an update", ["query", "DELETE WHERE { ?s ?p ?o }"], exits.REFUSED, "update"),
    ("two questions", ["query", "ASK {}", "-f", "q.rq"], exits.USAGE, "-f FILE"),
    ("no question", ["query"], exits.USAGE, "-f FILE"),
    ("no time to answer", ["query", "ASK {}", "--timeout", "0"], exits.USAGE, "--timeout"),
    ("unknown command", ["frobnicate"], exits.USAGE, "frobnicate"),
    ("unknown option", ["log", "--colour"], exits.USAGE, "--colour"),
    ("missing option", ["init"], exits.USAGE, "--storage"),
]  # fmt: skip


def _listing() -> dict[str, int]:
    """List the files of the working directory; a database's helper files come and go."""
    return {
        str(path): path.stat().st_mtime_ns if path.is_file() else 0
        for path in Path().rglob("*")
        if not path.name.startswith("store.db")
    }


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(("arguments", "code", "told"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_gives_one_clear_error_and_writes_nothing(
    prov: Any, story: Any, head: Callable[[], Any], arguments: list[str], code: int, told: str, as_json: bool
) -> None:
    arguments = [story.clean if argument == "UID" else argument for argument in arguments]
    told = story.clean if told == "UID" else told
    if "Same" in arguments:
        with Store.open("mydata") as store:
            for stem in ("SameFirst000", "SameSecond00"):
                store.Transform(f"{stem}.py", type="script", uid=stem).save()
    files, end = _listing(), head()
    result = prov(*arguments, *(["--json"] if as_json else []))
    assert result.code == code, result.err
    assert result.out == ""
    (line,) = result.err.splitlines()
    if as_json:
        error = json.loads(line)["error"]
        assert error["exit_code"] == code
        assert error["class"]
        message = error["message"]
    else:
        assert line.startswith("error: ")
        message = line
    assert told in message
    assert "\x1b" not in line
    assert head() == end
    assert _listing() == files


def test_unknown_user_cannot_log_in_and_the_attempt_is_on_record(
    prov: Any, story: Any, head: Callable[[], Any]
) -> None:
    position, _ = head()
    result = prov("login", "nobody")
    assert result.code == exits.NOT_FOUND
    assert "prov login nobody --name" in result.err
    assert head()[0] == position + 1
    assert prov("log", "--limit", "1", "--json").object["details"] == {"handle": "nobody", "why": "unknown user"}
    assert [user["handle"] for user in prov("users", "--json").objects] == ["ana", "anonymous"]
    assert prov("whoami").out == "ana\n"


def test_unreachable_database_leaves_no_folder(prov: Any) -> None:
    result = prov("init", "--storage", "new/store", "--db", "postgresql://ana:secret@127.0.0.1:1/none")
    assert result.code == exits.UNAVAILABLE
    assert "cannot be reached" in result.err
    assert "secret" not in result.err
    assert list(Path().iterdir()) == []
    assert prov("info", "--store", "postgresql://ana:secret@127.0.0.1:1/none").code == exits.UNAVAILABLE


def test_store_that_can_only_be_read_is_read_and_not_written(prov: Any, postgresql_address: str) -> None:
    assert prov("init", "--storage", "mydata", "--db", postgresql_address).code == exits.DONE
    reader = f"{postgresql_address}&options=-c%20default_transaction_read_only%3Don"
    assert prov("info", "--store", reader, "--json").object["read_only"] is True
    assert prov("log", "--store", reader).code == exits.DONE
    position = prov("info", "--json").object["position"]
    for arguments in (["login", "ana", "--name", "Ana"], ["rebuild"], ["delete", reader, "--force"]):
        result = prov("--store", reader, *arguments)
        assert result.code == exits.READ_ONLY, result.err
        assert "can be read but not written" in result.err
    assert prov("info", "--json").object["position"] == position


def test_store_of_a_newer_version_is_read_with_a_warning_and_takes_no_writes(prov: Any, story_on_each: Any) -> None:
    with Store.open("mydata") as store, store.log.database.write() as transaction:
        transaction.execute("UPDATE log_head SET format = format + 1")
    result = prov("info")
    assert result.code == 0
    assert "newer" in result.err
    before = prov("info", "--json").object["position"]
    result = prov("login", "zoe", "--name", "Zoe")
    assert result.code == exits.UNAVAILABLE
    assert "Install a newer lineagelog" in result.err
    assert prov("info", "--json").object["position"] == before


def test_user_of_the_environment_must_be_known(prov: Any, story: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LINEAGELOG_USER", "nobody")
    result = prov("info")
    assert result.code == exits.NOT_FOUND
    assert "LINEAGELOG_USER" in result.err


def test_damaged_configuration_is_named(prov: Any, story: Any) -> None:
    Path("mydata/.lineagelog/config.json").write_text("{")
    result = prov("info")
    assert result.code == exits.UNAVAILABLE
    assert "config.json cannot be read" in result.err


def test_pointer_to_a_store_that_is_gone_is_named(prov: Any, story: Any) -> None:
    Path("mydata").rename("moved")
    result = prov("info")
    assert result.code == exits.NOT_FOUND
    assert "prov connect PATH" in result.err
    assert prov("connect", "moved").code == exits.DONE
    assert prov("info").code == exits.DONE
