"""What each command prints and does, on both databases where it asks the database."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineagelog import location
from lineagelog.adapters.log.schema import TRIGGERS
from lineagelog.cli import app, exits
from lineagelog.domain.errors import StoreExistsError
from lineagelog.domain.event import UnknownEvent
from lineagelog.domain.ids import new_id
from lineagelog.store import Store


def test_init_makes_a_store_that_is_found_from_here_and_below(
    prov: Any, working_directory: Path, monkeypatch: Any
) -> None:
    made = prov("init", "--storage", "./mydata", "--name", "iris", "--json").object
    assert made["name"] == "iris"
    assert made["location"] == str(working_directory / "mydata")
    assert made["pointer"] == str(working_directory / ".lineagelog")
    below = working_directory / "deep" / "down"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert prov("info", "--json").object["uid"] == made["uid"]


def test_init_says_what_it_wrote_unless_quiet(prov: Any) -> None:
    said = prov("init", "--storage", "./mydata").out
    assert "created the store mydata" in said
    assert "wrote" in said
    assert prov("--quiet", "init", "--storage", "./other").out == ""


def test_init_in_a_folder_that_cannot_be_written_says_how_to_find_the_store(prov: Any, working_directory: Path) -> None:
    (working_directory / ".lineagelog").symlink_to(working_directory / "gone" / "pointer")
    made = prov("init", "--storage", "./mydata")
    assert (made.code, made.err) == (exits.DONE, "")
    assert f"set LINEAGELOG_STORE={working_directory / 'mydata'}" in made.out
    assert prov("--store", "./mydata", "info").code == exits.DONE


def test_info_tells_what_the_store_holds(prov: Any, story_on_each: Any, head: Callable[[], Any]) -> None:
    found = prov("info", "--json").object
    position, root = head()
    assert (found["position"], found["root"]) == (position, root)
    held = {name: count for name, count in found["counts"].items() if count}
    assert held == {"artifacts": 2, "runs": 1, "transforms": 1, "users": 2, "storages": 1}
    assert found["user"] == "ana"
    assert found["content_bytes"] == 16
    assert found["database_bytes"] > 10_000
    assert found["read_only"] is False
    text = prov("info").out
    assert "2 artifacts, 1 runs" in text
    assert root in text


def test_global_options_may_stand_before_or_after_the_command(
    prov: Any, story: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = Path("mydata").absolute()
    monkeypatch.chdir(tmp_path)
    before = prov("--store", folder, "--json", "info")
    after = prov("info", "--store", folder, "--json")
    assert before == after
    assert before.object["name"] == "mydata"


def test_store_is_named_by_the_environment(prov: Any, story: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LINEAGELOG_STORE", str(Path("mydata").absolute()))
    monkeypatch.chdir(tmp_path)
    assert prov("info").code == exits.DONE


def test_store_is_connected_by_path_and_by_name(prov: Any, story: Any, tmp_path: Path, monkeypatch: Any) -> None:
    folder = Path("mydata").absolute()
    for address in (folder, "mydata"):
        here = tmp_path / f"elsewhere-{Path(address).is_absolute()}"
        here.mkdir()
        monkeypatch.chdir(here)
        assert prov("info").code == exits.NOT_FOUND
        assert prov("connect", address, "--json").object["location"] == str(folder)
        assert prov("info", "--json").object["name"] == "mydata"


def test_store_on_a_server_is_connected_by_url(
    prov: Any, postgresql_address: str, tmp_path: Path, monkeypatch: Any
) -> None:
    uid = prov("init", "--storage", "./mydata", "--db", postgresql_address, "--json").object["uid"]
    here = tmp_path / "colleague"
    here.mkdir()
    monkeypatch.chdir(here)
    assert prov("connect", postgresql_address, "--json").object["uid"] == uid
    assert prov("info", "--json").object["uid"] == uid
    # The folder that remembers it holds no other store, so connecting again changes nothing.
    assert prov("connect", postgresql_address).code == exits.DONE


def test_connecting_in_the_folder_of_another_store_is_refused(prov: Any, story: Any, monkeypatch: Any) -> None:
    assert prov("init", "--storage", "./other").code == exits.DONE
    monkeypatch.chdir("other")
    result = prov("connect", "../mydata")
    assert result.code == exits.REFUSED
    assert "holds a store of its own" in result.err
    assert prov("info", "--json").object["name"] == "other"


def test_list_names_the_stores_that_were_used(prov: Any, story: Any) -> None:
    assert [one["name"] for one in prov("list", "--json").objects] == ["mydata"]
    assert str(Path("mydata").absolute()) in prov("list").out


def test_delete_needs_force_and_leaves_content(prov: Any, story_on_each: Any) -> None:
    refused = prov("delete", Path("mydata").absolute())
    assert prov("delete", "nobody").code == exits.NOT_FOUND
    assert refused.code == exits.REFUSED
    assert "nothing was deleted" in refused.err
    assert "--force" in refused.err
    content = [path for path in Path("mydata").rglob("*.csv") if path.is_file()]
    assert content
    assert prov("delete", "mydata", "--force").code == exits.DONE
    assert all(path.is_file() for path in content)
    assert not location.has_store(Path("mydata"))
    assert not Path(".lineagelog").exists()
    assert prov("info").code == exits.NOT_FOUND


def test_login_holds_for_later_processes_until_logout(prov: Any, story: Any) -> None:
    assert prov("login", "ben", "--name", "Ben", "--json").object["name"] == "Ben"
    assert prov("whoami").out == "ben\n"
    assert prov("logout", "--json").object == {"handle": "anonymous"}
    assert prov("whoami", "--json").object["handle"] == "anonymous"


def test_log_tells_who_did_what_when_and_why(prov: Any, story_on_each: Any, head: Callable[[], Any]) -> None:
    entries = prov("log", "--all", "--json").objects
    assert [entry["position"] for entry in entries] == list(range(head()[0], 0, -1))
    (change,) = [entry for entry in entries if entry["event"] == "ArtifactUpdated"]
    assert change["who"] == "ana"
    assert change["uid"] == story_on_each.raw
    assert change["key"] == "raw/iris.csv"
    assert change["changes"] == {"description": {"old": "flowers", "new": "iris flowers"}}
    assert change["reason"] == "typo"
    assert change["at"].endswith("Z")
    (used,) = [entry for entry in entries if entry["event"] == "InputAccessed"]
    assert (used["kind"], used["uid"], used["run"]) == ("Run", story_on_each.run, story_on_each.run)
    assert used["details"]["artifact"] == "raw/iris.csv"
    assert all(entry.keys() == entries[0].keys() for entry in entries)
    text = prov("log").out
    assert "description: flowers → iris flowers; because: typo" in text


def test_log_is_filtered_by_who_what_record_run_and_time(prov: Any, story_on_each: Any) -> None:
    def events(*options: str) -> list[str]:
        return [entry["event"] for entry in prov("log", "--json", *options).objects]

    total = len(events("--all"))
    assert events("--who", "anonymous", "--oldest-first")[:2] == ["UserRegistered", "StoreCreated"]
    assert events("--what", "ArtifactRegistered") == ["ArtifactRegistered"] * 2
    assert events("--what", "artifact.registered") == ["ArtifactRegistered"] * 2
    assert events("--what", "artifact") == ["ArtifactUpdated", "ArtifactRegistered", "ArtifactRegistered"]
    assert events("--record", story_on_each.raw[:6]) == ["ArtifactUpdated", "ArtifactRegistered"]
    assert events("--run", story_on_each.run, "--oldest-first")[:2] == ["RunStarted", "InputAccessed"]
    assert len(events("--since", "1h")) == total
    assert events("--until", "1h") == []
    assert events("--since", "2999-01-01") == []
    assert len(events("--limit", "3")) == 3
    assert events("--what", "artifact", "--who", "ana", "--limit", "1") == ["ArtifactUpdated"]
    assert prov("log", "--until", "1h").out == "no events match\n"


def test_log_pages_through_more_events_than_it_reads_at_once(prov: Any, story: Any, monkeypatch: Any) -> None:
    from lineagelog.audit import trail

    whole = prov("log", "--all", "--json").out
    backward = prov("log", "--all", "--oldest-first", "--json").out
    monkeypatch.setattr(trail, "_PAGE", 2)
    assert prov("log", "--all", "--json").out == whole
    assert prov("log", "--all", "--oldest-first", "--json").out == backward
    assert prov("log", "--limit", "5", "--json").out == "".join(whole.splitlines(keepends=True)[:5])


def test_log_of_the_store_itself_is_found_by_its_uid(prov: Any, story: Any) -> None:
    uid = prov("info", "--json").object["uid"]
    events = [entry["event"] for entry in prov("log", "--record", uid, "--json").objects]
    assert events == ["StorageMadeDefault", "StoreCreated"]


def test_text_of_the_store_cannot_steer_the_terminal(prov: Any, story: Any) -> None:
    for command in (["log"], ["show", story.clean], ["artifacts"], ["log", "--json"], ["show", story.clean, "--json"]):
        out = prov(*command).out
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert r"a\x1b[31mred\u202e" in prov("log").out
    assert prov("show", story.clean, "--json").object["description"] == "a\x1b[31mred\u202e"


def test_show_finds_a_record_of_any_registry_and_its_history(prov: Any, story_on_each: Any) -> None:
    shown = prov("show", story_on_each.raw[:8], "--json").object
    assert (shown["registry"], shown["uid"], shown["created_by"]) == ("Artifact", story_on_each.raw, "ana")
    assert [entry["event"] for entry in shown["history"]] == ["ArtifactRegistered", "ArtifactUpdated"]
    text = prov("show", story_on_each.raw).out
    assert "key = raw/iris.csv" in text
    assert "flowers → iris flowers; because: typo" in text
    assert prov("show", story_on_each.run, "--json").object["params"] == {"k": 3}
    assert prov("show", story_on_each.transform, "--json").object["registry"] == "Transform"
    ana = prov("users", "--where", "handle=ana", "--json").object
    assert prov("show", ana["uid"], "--json").object["name"] == "Ana Nowak"


def test_listings_are_filtered_by_conditions(prov: Any, story_on_each: Any) -> None:
    def keys(*options: str) -> list[str]:
        return [one["key"] for one in prov("artifacts", "--json", *options).objects]

    assert keys() == ["clean/iris.csv", "raw/iris.csv"]
    assert keys("--where", "key__startswith=raw/") == ["raw/iris.csv"]
    assert keys("--where", "size__gte=8", "--where", "run__transform__key=clean.py") == ["clean/iris.csv"]
    assert keys("--where", 'key__in=["raw/iris.csv", "x"]') == ["raw/iris.csv"]
    assert keys("--search", "flowers") == ["raw/iris.csv"]
    assert keys("--limit", "1") == ["clean/iris.csv"]
    assert "1 of 2 artifacts" in prov("artifacts", "--limit", "1").out
    assert prov("artifacts", "--where", "key=nothing").out == "no artifacts match\n"
    assert prov("runs", "--where", "params__k=3", "--json").object["status"] == "finished"
    assert "clean.py" in prov("runs").out
    assert prov("transforms", "--json").object["key"] == "clean.py"


def test_listing_and_show_give_the_same_object(prov: Any, story: Any) -> None:
    for listing in ("artifacts", "runs", "transforms", "users"):
        listed = prov(listing, "--limit", "1", "--json").object
        shown = prov("show", listed["uid"], "--json").object
        del shown["history"]
        assert listed == shown


def test_event_of_newer_software_is_shown_as_it_is(prov: Any, story: Any) -> None:
    with Store.open("mydata") as store:
        fact = UnknownEvent(unknown_topic="coffee.made.1", payload='{"cups":2}')
        store.append([store.new_event(fact, new_id())])
    entry = prov("log", "--what", "coffee.made.1", "--json").object
    assert (entry["event"], entry["uid"], entry["details"]) == ("coffee.made.1", None, {"payload": '{"cups":2}'})
    assert "coffee.made.1" in prov("log", "--limit", "1").out


def test_folder_of_one_store_is_not_made_that_of_another(working_directory: Path) -> None:
    config = location.Config("id of one", "one", "postgresql://localhost/one")
    home = location.attach(working_directory, config, "secret")
    assert location.read_config(working_directory) == (
        config,
        location.with_password("postgresql://localhost/one", "secret"),
    )
    with pytest.raises(StoreExistsError, match="holds another store"):
        location.attach(working_directory, config._replace(id="id of another"), None)
    assert (home / "secrets.json").stat().st_mode & 0o077 == 0


def test_lineage_is_printed_and_drawn(prov: Any, story_on_each: Any) -> None:
    text = prov("lineage", story_on_each.clean).out
    lines = text.splitlines()
    assert lines[0].startswith(f"artifact {story_on_each.clean} clean/iris.csv by ana")
    assert f"generated by run {story_on_each.run} of clean.py by ana, finished" in lines[2]
    assert f"used artifact {story_on_each.raw} raw/iris.csv" in lines[3]
    edges = prov("lineage", story_on_each.clean, "--json").objects
    assert [(edge["source"], edge["kind"], edge["target"]) for edge in edges] == [
        (story_on_each.raw, "used", story_on_each.run),
        (story_on_each.run, "generated", story_on_each.clean),
    ]
    assert prov("lineage", story_on_each.clean, "--direction", "downstream", "--json").out == ""
    assert "led to" in prov("lineage", story_on_each.raw).out
    assert prov("lineage", story_on_each.run, "-o", "l.svg").code == exits.DONE
    assert ET.parse("l.svg").getroot().tag.endswith("svg")
    assert prov("lineage", story_on_each.run, "-o", "l.dot", "--json").object == {"path": "l.dot"}


def test_long_lineage_is_a_table_and_a_diamond_is_unfolded_once(prov: Any, story: Any) -> None:
    with Store.open("mydata") as store, store.as_current():
        last = store.Artifact.get(story.clean)
        for number in range(app_depth() + 2):
            with store.Run(store.Transform.get(story.transform)):
                last.cache()
                store.Artifact.get(story.raw).cache()
                Path("next.csv").write_text(f"{number}")
                last = store.Artifact("next.csv", key=f"{number}.csv").save()
    table = prov("lineage", last.uid).out
    assert table.startswith("depth")
    tree = prov("lineage", last.uid, "--depth", "3").out
    assert tree.count("raw/iris.csv by ana") == 3
    assert len([line for line in tree.splitlines() if "generated by run" in line]) == 3


def app_depth() -> int:
    from lineagelog.cli.records import _MAX_TREE_DEPTH

    return _MAX_TREE_DEPTH


def test_export_writes_a_file_and_puts_itself_on_record(prov: Any, story_on_each: Any) -> None:
    made = prov("export", "--subject", story_on_each.clean, "-o", "p.json", "--json").object
    assert made["format"] == "prov-json"
    assert made["scope"] == f"artifact {story_on_each.clean} upstream"
    content = Path("p.json").read_bytes()
    assert (made["sha256"], made["size_bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert made["n_statements"] == sum(made["counts"].values()) > 5
    assert "bundle" in json.loads(Path("p.json").read_text())
    text = prov("export", "--all", "--format", "n-quads", "-o", "p.nq").out
    assert "(all) as n-quads to p.nq" in text
    assert "left out: " in text
    assert [entry["details"]["format"] for entry in prov("log", "--what", "ExportMade", "--json").objects] == [
        "n-quads",
        "prov-json",
    ]


def test_export_of_a_part_by_project_user_and_time(prov: Any, story_on_each: Any) -> None:
    made = prov("export", "--user", "ana", "--since", "1d", "-o", "p.ttl", "--json").object
    assert made["format"] == "turtle"
    assert made["scope"].startswith("user ")
    assert " since 20" in made["scope"].replace(",", "")
    assert made["counts"]["activity"] > 0
    nothing = prov("export", "--until", "2020-01-01", "-o", "p.nt", "--json").object
    assert nothing["left_out"]["artifacts"] > 0
    assert "used" not in nothing["counts"]


def test_query_answers_from_the_store_and_from_an_export(prov: Any, story_on_each: Any) -> None:
    question = "SELECT ?run ?data WHERE { ?run prov:used ?data }"
    row = prov("query", question, "--json").object
    assert row["run"].endswith(story_on_each.run)
    assert row["data"].endswith(story_on_each.raw)
    Path("q.rq").write_text(question)
    assert prov("export", "--all", "-o", "p.trig").code == exits.DONE
    assert prov("query", "-f", "q.rq", "--on", "p.trig", "--json").object == row
    assert prov("query", question, "--csv").out == f"run,data\n{row['run']},{row['data']}\n"
    assert row["data"] in prov("query", question).out
    assert prov("query", "ASK { ?x prov:used ?y }").out == "yes\n"
    assert prov("query", "ASK { ?x prov:used ?x }", "--json").object == {"answer": False}
    graph = "CONSTRUCT { ?x prov:used ?y } WHERE { ?x prov:used ?y }"
    assert "used" in prov("query", graph).out
    assert prov("query", graph, "--json").object["turtle"]
    assert prov("query", "SELECT * WHERE { ?x prov:used ?x }").out == "no solutions\n"


def test_a_terminal_shows_names_and_a_pipe_whole_iris(prov: Any, story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    question = (
        "SELECT ?data ?hash ?type { ?data a ll:Artifact ; ll:sha256 ?hash ; a ?type . FILTER(?type = prov:Entity) }"
    )
    piped = prov("query", question).out
    assert f"/artifact/{story.raw} " in piped
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "72")
    shown = prov("query", question).out
    assert f"artifact:{story.raw} " in shown
    assert "prov:Entity" in shown
    assert "https://" not in shown
    assert "…" in shown
    assert len(shown.splitlines()) == len(piped.splitlines())
    # Where there is no room for columns, each row is a paragraph.
    monkeypatch.setenv("COLUMNS", "50")
    lines = re.sub(r"\x1b\[\d+m", "", prov("query", f"{question} ORDER BY ?data").out).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["data", "hash", "type"]
    assert lines[3] == ""
    assert max(map(len, lines)) <= 50


def test_csv_is_of_rows_only(prov: Any, story: Any) -> None:
    for question in ("ASK { ?s ?p ?o }", "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"):
        assert prov("query", question, "--csv").code == exits.USAGE
    assert prov("query", "SELECT * { ?s ?p ?o }", "--csv", "--json").code == exits.USAGE


def test_query_result_cannot_steer_the_terminal(prov: Any, story: Any) -> None:
    question = 'SELECT ?d WHERE { ?x dcterms:description ?d . FILTER(CONTAINS(?d, "red")) }'
    for option in ([], ["--csv"], ["--json"]):
        out = prov("query", question, *option).out
        assert "red" in out
        assert "\x1b" not in out


def test_verify_says_that_all_is_well(prov: Any, story_on_each: Any, head: Callable[[], Any]) -> None:
    report = prov("verify", "--json").object
    not_checked = report.pop("not_checked")
    assert [text for text in not_checked if "truncation is not checkable" in text]
    assert report == {
        "ok": True, "n_events": head()[0], "root": head()[1], "first_bad_position": None, "problems": [], "sealed_up_to": None,
        "checkpoints": [], "clock_anomalies": [], "content": None,
    }  # fmt: skip
    text = prov("verify")
    assert text.code == exits.DONE
    assert "NOT CHECKED" in text.out
    assert prov("verify", "--quiet").out == ""


def test_verify_finds_a_changed_event_and_has_an_exit_code_of_its_own(prov: Any, story_on_each: Any) -> None:
    with Store.open("mydata") as store, store.log.database.write() as transaction:
        ((position, uid, key),) = transaction.read("SELECT position, uid, key FROM artifacts ORDER BY position LIMIT 1")
        forge = f"UPDATE events SET reason = 'forged' WHERE position = {position}"
        if store.log.database.dialect == "sqlite":
            triggers = [
                row for row in transaction.read("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'") if row[1]
            ]
            for name, _ in triggers:
                transaction.execute(f"DROP TRIGGER {name}")
            transaction.execute(forge)
            for _, sql in triggers:
                transaction.execute(sql)
        else:
            transaction.execute("ALTER TABLE events DISABLE TRIGGER USER")
            transaction.execute(forge)
            transaction.execute("ALTER TABLE events ENABLE TRIGGER USER")
    result = prov("verify", "--json")
    assert result.code == exits.DAMAGED
    assert result.object["ok"] is False
    assert result.object["first_bad_position"] == position
    text = prov("verify", "-q")
    assert text.code == exits.DAMAGED
    assert f"PROBLEM: event {position} was changed" in text.out
    (problem,) = (one for one in result.object["problems"] if one["position"] == position)
    assert problem["subject"] == f"Artifact {uid} ({key})"
    assert f"; it is about {problem['subject']}\n" in text.out


def test_verify_of_the_log_alone_says_what_it_left_out(prov: Any, story_on_each: Any) -> None:
    with Store.open("mydata") as store, store.log.database.write() as transaction:
        transaction.execute("UPDATE artifacts SET description = 'forged'")
    result = prov("verify", "--log-only")
    assert result.code == exits.DONE
    assert "registries are what" not in result.out
    assert "NOT CHECKED: the registries" in result.out
    assert prov("verify").code == exits.DAMAGED


def test_checkpoint_finds_a_log_of_another_store(prov: Any, story_on_each: Any, head: Callable[[], Any]) -> None:
    key = prov("key", "generate").out.strip()
    position, root = head()
    sealed = prov("checkpoint", "-o", "c.txt", "--json").object
    assert (sealed["size"], sealed["root"], sealed["key"]) == (position, root, key)
    assert sealed["places"][0] == "c.txt"
    assert sealed["note"] == Path("c.txt").read_text()
    held = prov("verify", "--checkpoint", "c.txt", "--key", key)
    assert held.code == exits.DONE
    assert f"contains the {position} events of the checkpoint" in held.out
    assert "truncation is not checkable" not in held.out
    assert prov("verify", "--json", "--checkpoint", "c.txt").object["sealed_up_to"] == position
    Path("c.txt").write_text(Path("c.txt").read_text().replace("lineagelog/", "lineagelog/x"))
    assert prov("verify", "--checkpoint", "c.txt").code == exits.DAMAGED


def test_a_proof_is_checked_by_a_file_on_its_own(prov: Any, story: Any, tmp_path: Path) -> None:
    from lineagelog import verify_proof

    key = prov("key", "generate").out.strip()
    assert prov("key", "generate", "--json").object == {"key": key}, "there is one already"
    for name in ("older.txt", "newer.txt", "other.txt"):
        assert prov("checkpoint", "-o", name).code == exits.DONE
    made = prov(
        "prove", story.clean, "--checkpoint", "newer.txt", "--since", "older.txt", "-o", "proof.json", "--json"
    ).object
    alone = tmp_path / "alone"
    alone.mkdir()
    script = shutil.copy(verify_proof.__file__, alone)

    def check(*arguments: str) -> subprocess.CompletedProcess[str]:
        # Isolated and without site-packages: the standard library is all there is.
        command = [sys.executable, "-I", "-S", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check("proof.json", "newer.txt", "--key", key)
    assert done.returncode == 0, done.stderr
    assert all(f"proven: event {position}," in done.stdout for position in made["positions"])
    assert f"first {made['since']} events" in done.stdout
    kept_before = check("proof.json", "older.txt", "--key", key)
    assert kept_before.returncode == 0, kept_before.stderr
    assert f"first {made['since']} events are those of the checkpoint that you kept" in kept_before.stdout
    assert check("proof.json", "other.txt", "--key", key).returncode == 1
    old_key, key = key, prov("key", "generate", "--rotate", "--json").object["key"]
    assert prov("checkpoint", "-o", "rotated.txt").code == exits.DONE
    assert prov("prove", "--since", "older.txt", "-o", "grown.json").code == exits.DONE
    assert "not signed by this key" in check("grown.json", "older.txt", "--key", key).stderr
    assert check("grown.json", "older.txt", "--key", key, "--key", old_key).returncode == 0
    key = old_key
    data = Path("proof.json").read_bytes()
    Path("proof.json").write_bytes(data.replace(b"artifact.registered.1", b"artifact.registered.2"))
    forged = check("proof.json", "--key", key)
    assert forged.returncode == 1
    assert "NOT PROVEN" in forged.stderr


def test_checkpoint_is_printed_without_a_file(prov: Any, story: Any, head: Callable[[], Any]) -> None:
    origin, size, _, _, signature = prov("checkpoint").out.splitlines()
    assert origin.startswith("lineagelog/")
    assert int(size) == head()[0] - 1
    assert signature.startswith(f"\u2014 {origin} ")


def test_rebuild_gives_back_a_lost_registry(prov: Any, story_on_each: Any, head: Callable[[], Any]) -> None:
    before = prov("artifacts", "--json").out
    with Store.open("mydata") as store, store.log.database.write() as transaction:
        transaction.execute("DELETE FROM artifacts")
    assert prov("artifacts", "--json").out == ""
    assert prov("rebuild", "--json").object == {"n_events": head()[0]}
    assert prov("artifacts", "--json").out == before


def test_rebuild_refuses_a_log_that_was_altered(prov: Any, story: Any) -> None:
    with Store.open("mydata") as store, store.log.database.write() as transaction:
        for name in TRIGGERS["sqlite"]:
            transaction.execute(f"DROP TRIGGER {name}")
        transaction.execute("UPDATE events SET reason = 'I was told to' WHERE position = 9")
    refused = prov("rebuild")
    assert refused.code == exits.DAMAGED
    assert "event 9 was changed" in refused.err
    assert "nothing was changed" in refused.err


def test_an_error_nobody_expected_is_one_line_and_can_show_its_place(prov: Any, story: Any, monkeypatch: Any) -> None:
    def fail(_: Any) -> None:
        raise TypeError("surprise")

    monkeypatch.setattr(Store, "overview", fail)
    result = prov("info")
    assert result.code == exits.FAILED
    assert (
        result.err
        == f"error: this should not happen (TypeError: surprise); {app.SHOW_TRACEBACK}=1 shows where it does\n"
    )


def test_no_uid_is_broken_on_a_terminal_of_80_columns(prov: Any, story: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for command in ("artifacts", "log"):
        out = prov(command).out
        assert story.raw in out
        assert max(map(len, out.splitlines())) <= 80
    assert "description: flowers" in prov("log").out


def test_conditions_are_read_as_their_fields_need_them(prov: Any, story_on_each: Any) -> None:
    with Store.open("mydata") as store, store.as_current():
        raw = store.Artifact.get(story_on_each.raw)
        raw.version = "1"
        raw.save()
    for where in ("version=1", "version__in=[1, 2]", "created_by__handle=ana", "created_at__gte=2020-01-01", "size=8"):
        found = prov("artifacts", "--where", where, "--json")
        assert story_on_each.raw in found.out, where
    assert prov("artifacts", "--where", "version__isnull=true", "--json").object["uid"] == story_on_each.clean
    assert story_on_each.raw in prov("artifacts", "--where", "created_at__gte=2026").out
    assert "is not ISO 8601" in prov("artifacts", "--where", "created_at__gte=last week").err


def test_listing_shows_numbers_of_versions_and_a_tag_only_if_there_is_one(prov: Any, story: Any) -> None:
    heading, _, row, *_ = prov("artifacts").out.splitlines()
    assert {"version", "tag"} & set(heading.split()) == {"version"}
    place = heading.index("version")
    assert row[place : place + len("version")].strip() == "1"
    with Store.open("mydata") as store, store.as_current():
        folder = Path("folder")
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        store.Artifact("folder", key="folder", version="v1").save()
    text = prov("artifacts").out
    assert "tag" in text.splitlines()[0].split()
    assert "1 (1 file)" in text


def test_empty_store_says_how_the_first_record_comes_about(prov: Any) -> None:
    assert prov("init", "--storage", "new", "-q").code == exits.DONE
    assert prov("artifacts").out.startswith("no artifacts yet: save one")
    assert prov("artifacts", "--search", "x").out == "no artifacts match\n"


def test_show_of_a_failed_run_has_its_traceback_and_empty_params(prov: Any, story: Any) -> None:
    with Store.open("mydata") as store, store.as_current():
        run = store.Run(store.Transform.get(story.transform))
        with pytest.raises(ZeroDivisionError), run:
            _ = 1 / 0
    text = prov("show", run.uid).out
    assert "Traceback (most recent call last)" in text
    assert ".params = {}" in text


def test_name_of_no_store_or_of_two_is_explained(prov: Any, story: Any) -> None:
    unknown = prov("info", "--store", "nothing")
    assert (unknown.code, "prov list" in unknown.err) == (exits.NOT_FOUND, True)
    for folder in ("a", "b"):
        assert prov("init", "--storage", folder, "--name", "twin", "-q").code == exits.DONE
    assert "2 stores are called twin: " in prov("info", "--store", "twin").err
    one = prov("list", "--json").objects[-1]
    assert prov("info", "--store", one["id"], "--json").object["id"] == one["id"]


def test_init_over_a_store_says_how_to_use_it(prov: Any, story: Any) -> None:
    assert "prov connect" in prov("init", "--storage", "mydata").err


def test_validate_says_which_constraint_which_records_break(prov: Any, working_directory: Path) -> None:
    good = (
        "document prefix ex <http://example.org/> entity(ex:e) activity(ex:a) wasGeneratedBy(ex:e, ex:a, -) endDocument"
    )
    Path("good.provn").write_text(good)
    Path("bad.provn").write_text(good.replace("wasGen", "activity(ex:e) wasGen"))
    Path("broken.provn").write_text("document entity(")
    assert prov("validate", "good.provn").out == "good.provn: valid: 3 statements\n"
    assert prov("validate", "good.provn", "--quiet").out == ""
    result = prov("validate", "good.provn", "bad.provn")
    assert result.code == exits.INVALID
    assert result.out.splitlines()[1:] == [
        "bad.provn: NOT VALID: 1 violation in 4 statements",
        "Constraint 55 (entity-activity-disjoint): ex:e is both an entity and an activity",
        "  entity(ex:e)",
        "  activity(ex:e, -, -)",
    ]
    found = prov("validate", "bad.provn", "--json").object
    assert (found["path"], found["valid"], found["format"], found["n_statements"]) == ("bad.provn", False, "prov-n", 4)
    assert found["violations"][0]["constraint"] == 55
    # A file that cannot be read does not keep the next from being checked.
    result = prov("validate", "broken.provn", "nothing.ttl", "good.provn")
    assert (result.code, result.out) == (exits.REFUSED, "good.provn: valid: 3 statements\n")
    assert "broken.provn: line 1: " in result.err
    assert "nothing.ttl does not exist" in result.err
    assert prov("validate", "good.provn", "--max-statements", "2").code == exits.REFUSED
    assert "choose one of: prov-json" in prov("validate", "good.provn", "--format", "pdf").err
    assert prov("validate", "good.provn", "--format", "trig").code == exits.REFUSED


def test_the_past_is_shown_as_it_was_and_said_to_be(prov: Any, story: Any) -> None:
    entries = prov("log", "--record", story.raw, "--oldest-first", "--json").objects
    corrected = next(entry["position"] for entry in entries if entry["event"] == "ArtifactUpdated")
    assert prov("show", story.raw, "--json").object["description"] == "iris flowers"
    result = prov("show", story.raw, "--as-of", corrected - 1, "--json")
    assert result.object["description"] == "flowers"
    assert f"as of event {corrected - 1}, recorded at 20" in result.err
    assert prov("artifacts", "--as-of", corrected - 1, "-q", "--json").err == ""
    at = prov("log", "--limit", 1, "--json").object["at"]
    assert prov("info", "--as-of", at, "--json").object["position"] == len(prov("log", "--all", "--json").objects)
    before = prov("log", "--all").out
    for point, match in (
        ("9999", "has the events 1 to"),
        ("2999-01-01", "lies in the future"),
        ("3 moons", "is no time"),
    ):
        result = prov("runs", "--as-of", point)
        assert (result.code, result.out) == (exits.REFUSED, "")
        assert match in result.err
    assert prov("query", "ASK { ?s ?p ?o }", "--on", "x.nq", "--as-of", "5").code == exits.USAGE
    assert prov("log", "--all").out == before


def test_named_questions_are_listed_and_answered(prov: Any, story: Any) -> None:
    listed = prov("query", "--list", "--json").objects
    assert len(listed) == 10
    assert prov("query", "--list").out.startswith("affected-by --about KEY|UID\n    ")
    row = prov("query", "--named", "affected-by", "--about", story.raw, "--json").object
    assert (row["key"], row["who"], row["version"]) == ("clean/iris.csv", "ana", 1)
    assert prov("export", "--all", "-o", "p.trig").code == exits.DONE
    assert prov("query", "--named", "affected-by", "--about", "raw/iris.csv", "--on", "p.trig", "--json").object == row
    assert prov("query", "--named", "affected-by", "--about", "nothing").code == exits.NOT_FOUND
    assert prov("query", "--named", "affected-by").code == exits.REFUSED
    for wrong in (["--about", "x"], ["--list", "ASK {}"], ["ASK {}", "--named", "deleted"]):
        assert prov("query", *wrong).code == exits.USAGE
