"""`prov cache`: what is copied to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lineagelog.adapters.cache import Content
from lineagelog.adapters.storage import hash_local, open_storage
from lineagelog.cli import exits
from lineagelog.content.caching import content_cache


def test_the_cache_is_shown_and_cleared_but_for_what_is_in_use(prov: Any, tmp_path: Path) -> None:
    import os

    assert prov("cache", "--json").object["n_contents"] == 0
    copies = content_cache()
    for name in "ab":
        Path(name).write_text(name * 1000)
        hashed = hash_local(Path(name))
        copies.get(Content(hashed.hash, hashed.hash_type, 1000, ""), open_storage(Path.cwd()), name)
    os.close(copies._in_use.pop(hashed.hash))
    folder = str(tmp_path / "cache/lineagelog")
    shown = prov("cache", "--json").object
    assert shown.pop("limit_bytes") > 0
    assert shown.pop("n_indexes") == shown.pop("index_bytes") == 0
    assert shown == {"folder": folder, "n_contents": 2, "size_bytes": 2000, "n_in_use": 1}
    assert "2.0 kB of" in prov("cache").out
    assert prov("cache", "clear", "--json").object == {
        "folder": folder,
        "n_removed": 1,
        "removed_bytes": 1000,
        "n_in_use": 1,
        "n_indexes_removed": 0,
        "index_bytes_removed": 0,
    }
    os.close(copies._in_use.popitem()[1])
    assert prov("cache", "clear").out == f"removed 1 copies (1.0 kB) from {folder}\n"
    assert prov("cache", "forget").code == exits.USAGE


def test_indexes_for_sparql_are_shown_and_cleared(prov: Any, story: Any) -> None:
    assert prov("query", "ASK { ?s ?p ?o }").out == "yes\n"
    shown = prov("cache", "--json").object
    assert shown["n_indexes"] == 1
    assert shown["index_bytes"] > 10_000
    assert "1, " in prov("cache").out
    cleared = prov("cache", "clear", "--json").object
    assert cleared["n_indexes_removed"] == 1
    assert prov("cache", "--json").object["n_indexes"] == 0
