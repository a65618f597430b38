"""`prov storage`: what it prints, what it removes, and its exit codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lineagelog.cli import exits
from lineagelog.store import Store


def content() -> list[Path]:
    return sorted(path for path in Path("mydata/.lineagelog/objects").glob("*/*"))


def put_orphan() -> Path:
    path = content()[0].with_name("orphan.csv")
    path.write_text("nobody's")
    os.utime(path, (1, 1))
    return path


def test_a_check_of_sound_content_says_so_and_ends_with_success(prov: Any, story_on_each: Any) -> None:
    result = prov("storage", "check")
    assert result.code == exits.DONE
    assert "all content is as it was recorded" in result.out
    assert prov("storage", "check", "--quiet").out == ""
    (place,) = prov("storage", "check", "--json").objects
    assert (place["kind"], place["n_artifacts"], place["bytes_read"], place["recorded"]) == ("location", 2, 16, True)


def test_a_check_names_what_is_missing_and_changed(prov: Any, story: Any) -> None:
    first, second = content()
    first.unlink()
    second.write_text("a,b\n1,4\n")
    orphan = put_orphan()
    assert prov("storage", "check", "--no-content").code == exits.DAMAGED
    result = prov("storage", "check")
    assert result.code == exits.DAMAGED
    for word in (story.raw, story.clean, "missing", "changed", orphan.name, "WHAT TO DO"):
        assert word in result.out
    found = prov("storage", "check", "--json").objects
    assert [one["kind"] for one in found] == ["missing", "changed", "orphan", "location"]
    assert found[0]["uid"] == story.raw
    listed = prov("artifacts", "--where", "content_status=missing", "--json").objects
    assert [one["uid"] for one in listed] == [story.raw]
    assert "content_status = missing" in prov("show", story.raw).out
    told = prov("log", "--json").objects
    assert any(one["topic"] == "artifact.verified.1" and one["details"]["outcome"] == "changed" for one in told)


def test_content_that_cannot_be_read_is_told_from_damage(prov: Any, story: Any, tmp_path: Path) -> None:
    Path("disk").mkdir()
    Path("disk/x.csv").write_text("x")
    with Store.open("mydata") as store:
        store.Storage("disk").save()
        store.Artifact("disk/x.csv", run=False).save()
    Path("disk").rename("unmounted")
    result = prov("storage", "check")
    assert result.code == exits.UNAVAILABLE
    assert "mount its disk" in result.out
    assert prov("verify", "--content").code == exits.UNAVAILABLE


def test_verify_reads_the_content_if_asked_to(prov: Any, story: Any) -> None:
    assert prov("verify", "--content", "--json").object["content"][-1]["n_artifacts"] == 2
    assert prov("verify", "--json").object["content"] is None
    content()[0].write_text("altered")
    assert prov("verify").code == exits.DONE
    result = prov("verify", "--content", "--json")
    assert result.code == exits.DAMAGED
    assert (result.object["ok"], result.object["problems"]) == (False, [])


def test_nothing_is_removed_unless_it_is_meant(prov: Any, story: Any, head: Any) -> None:
    orphan = put_orphan()
    before = head()
    result = prov("storage", "collect")
    assert result.code == exits.REFUSED
    assert "nothing was removed: this would remove 1 objects" in result.err
    assert orphan.name in prov("storage", "collect", "--dry-run").out
    assert orphan.exists()
    assert head() == before
    kept = prov("storage", "collect", "--older-than", "99999d", "--yes")
    assert kept.code == exits.REFUSED
    assert "hundred years" in kept.err
    removed, place = prov("storage", "collect", "--yes", "--json").objects
    assert (removed["kind"], removed["size_bytes"]) == ("removed", 8)
    assert place["problem"] is None
    assert not orphan.exists()
    assert prov("storage", "collect").code == exits.DONE, "there is nothing left to ask about"


@pytest.mark.parametrize("age", ["", "24", "h", "-1h", "1.5h", "1 day"])
def test_an_age_that_is_none_is_refused(prov: Any, story: Any, age: str) -> None:
    result = prov("storage", "collect", f"--older-than={age}", "--dry-run")
    assert result.code == exits.REFUSED
    assert "such as 90m, 24h or 7d" in result.err


def test_locations_are_listed_and_registered(prov: Any, story: Any) -> None:
    made = prov("storage", "register", "archive", "--description", "tape", "--default", "--json").object
    assert made["is_default"]
    first, second = prov("storage", "list", "--json").objects
    assert (first["n_artifacts"], first["content_bytes"], first["is_default"]) == (2, 16, False)
    assert (second["uid"], second["description"], second["is_default"]) == (made["uid"], "tape", True)
    assert "never" in prov("storage", "list").out
    assert prov("storage", "check", made["uid"]).code == exits.DONE
    assert prov("storage", "check", "nowhere").code == exits.NOT_FOUND
