"""The environment of this process, compared with what the standard library's slow ways say."""

from __future__ import annotations

import re
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from lineagelog.adapters.environment import capture, context
from lineagelog.domain.event import decode, encode
from lineagelog.domain.version import VERSION


def test_packages_are_those_that_the_metadata_names() -> None:
    expected: dict[str, str] = {}
    for distribution in metadata.distributions():
        expected.setdefault(re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower(), distribution.version)
    found = capture()
    assert found.packages == expected
    assert list(found.packages) == sorted(found.packages)
    assert (found.python, found.implementation) == (sys.version.split()[0], "cpython")
    assert decode(found.topic, encode(found)) == found


def test_equal_environments_have_one_hash_and_others_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = capture()
    assert capture() == before
    (tmp_path / "New_Package.x-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    after = capture()
    assert after.hash != before.hash
    assert after.packages == before.packages | {"new-package-x": "1.0"}


def test_first_on_the_path_is_the_one_in_use_and_odd_forms_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("first", "2.0"), ("second", "1.0")):
        (tmp_path / folder / f"pkg-{version}.dist-info").mkdir(parents=True)
    first = tmp_path / "first"
    (first / "old-3.1-py3.11.egg-info").mkdir()
    (first / "old-3.1-py3.11.egg-info" / "PKG-INFO").write_text("Name: Old.Name\nVersion: 3.1\n\nVersion: 9\n")
    (first / "flat.egg-info").write_text("Name: flat\nVersion: 4\n")
    (first / "zipped.egg" / "EGG-INFO").mkdir(parents=True)
    (first / "zipped.egg" / "EGG-INFO" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: zipped\nVersion: 5\n")
    (first / "nameless.dist-info").mkdir()
    (first / "broken-.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "second"), str(tmp_path / "nowhere"), str(first)])
    assert capture().packages == {"pkg": "2.0", "old-name": "3.1", "flat": "4", "zipped": "5"}


def test_capture_is_fast() -> None:
    capture()
    before = time.process_time()
    capture()
    # Measured 1-2 ms for 160 distributions; the whole of `track()` has 400 ms.
    assert time.process_time() - before < 0.06


def test_context_says_where_events_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    found = context("anonymous", "s")
    assert (found.auth, found.session, found.software) == ("anonymous", "s", f"lineagelog/{VERSION}")
    assert found.host
    assert found.os_user not in (None, "somebody-else")
