"""The environment of this process, compared with what the standard library's slow ways say."""

from __future__ import annotations

import os
import re
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from lineagelog.adapters import environment
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


def test_what_is_broken_on_the_path_keeps_nobody_from_being_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/bytes-1.0\xff.dist-info")  # noqa: PTH102 - no text has this name
    (tmp_path / "nul.egg-info").write_bytes(b"Name: nul\nVersion: 1\x002\xff\n")
    (tmp_path / "not-a-zip.egg").write_bytes(b"garbage")
    for name, content in (("no-text.egg", b"\xff\xfeName"), ("fine.egg", b"Name: fine\nVersion: 5\n")):
        (tmp_path / name / "EGG-INFO").mkdir(parents=True)
        (tmp_path / name / "EGG-INFO" / "PKG-INFO").write_bytes(content)
    monkeypatch.setattr(sys, "path", [tmp_path, b"/tmp", None, "not-a-zip.egg", str(tmp_path)])
    found = capture()
    assert found.packages == {"bytes": "1.0?", "nul": "1\ufffd2\ufffd", "fine": "5"}
    assert decode(found.topic, encode(found)) == found


def test_thousands_of_distributions_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each must be read, and holds a description of a megabyte; measured 0.006 and 0.02 s."""
    for number in range(2_000):
        (tmp_path / f"new{number}-1.0.dist-info").mkdir()
    long = tmp_path / "old.egg-info"
    long.write_text("Name: old\nVersion: 1\n\n" + "words " * 200_000)
    for number in range(200):
        (tmp_path / f"old{number}.egg-info").symlink_to(long)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    before = time.process_time()
    assert len(environment.installed()) == 2_001
    assert time.process_time() - before < 0.5


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


def test_the_machine_tells_what_it_has() -> None:
    found = capture().hardware
    assert found["n_cpus"] == os.cpu_count()
    assert int(found["memory_bytes"]) > 2**28
    assert found.get("cpu", "") in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else str(found))


def test_a_conda_environment_is_known_by_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "study"))
    plain = capture()
    assert (plain.conda, plain.conda_packages) == (None, {})
    meta = tmp_path / "study" / "conda-meta"
    meta.mkdir(parents=True)
    (meta / "lib-blas-3.9.0-16_openblas.json").write_text("{}")
    (meta / "history").write_text("")
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "another")
    monkeypatch.setenv("CONDA_PREFIX", "/elsewhere")
    found = capture()
    assert (found.conda, found.conda_packages) == ("study", {"lib-blas": "3.9.0"})
    assert found.hash != plain.hash
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "study"))
    assert capture().conda == "another"


@pytest.mark.parametrize(
    "line",
    [
        "0::/docker/{}",
        "12:memory:/kubepods/burstable/pod0a1b/{}",
        "0::/system.slice/docker-{}.scope",
        "1028 1014 254:1 /var/lib/docker/containers/{}/hostname /etc/hostname rw - ext4 /dev/vda1 rw",
        "0::/machine.slice/libpod-{}.scope/container",
    ],
)
def test_containers_are_found_where_the_kernel_names_them(line: str) -> None:
    name = "0123456789abcdef" * 4
    match = environment._CONTAINER.search(line.format(name))
    assert match is not None
    assert match[1] == name
    assert environment._CONTAINER.search("0::/user.slice/user-0.slice/session-1.scope") is None
