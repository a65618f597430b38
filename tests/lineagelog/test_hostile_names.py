"""Names and files made to do harm: one verdict on every database and storage, and nothing changes outside the storage root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineagelog as ln
from lineagelog import errors
from lineagelog.adapters.storage import open_storage
from lineagelog.cli.app import run
from lineagelog.domain.artifact import check_key
from lineagelog.store import Store

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
INVISIBLE = "\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e"
CONTROL = [chr(code) for code in (*range(32), *range(127, 160))]

REFUSED: list[Any] = [
    "", " ", "\t", "\u3000", "\u200b", "\u200d", ".", "..", "/", "//", "\\", "\\\\server\\share", "/etc/passwd", "//etc/passwd",
    "../up", "../../../../etc/passwd", "a/../../b", "a/..", "../", "a/", "a//b", "./a", "a/.", "a/./b", "..\\up", "a\\b", "C:\\x",
    "\\\\?\\C:\\x", "a/..\\..\\b", " a", "a ", "a\u00a0", "\u2028a", "a\u2029b", "a\x00", "\x00", "../\x00.csv", "a\r\nb",
    "\x1b[2Ja",
    "\ud800", "a\udfff", "\udcff.csv", "x" * 1025, "x" * 10_000, "ä" * 513, "a/" * 600, "s3://bucket/key", "file:///etc/passwd",
    "https://x/y", 3, b"a", ["a"], Path("/etc/passwd"), Path(),
    *[f"a{sign}b" for sign in (*BIDI, *INVISIBLE)],
    *[f"a{sign}b" for sign in CONTROL],
]  # fmt: skip
"""Keys that are refused."""

ACCEPTED: list[str] = [
    "a", "A", "a.csv", "A.CSV", "\u00e9/\u00e4", "数据/表.csv", "🙂.txt", "\U0001f469\u200d\U0001f4bb.py", "CON", "nul", "aux.txt",
    "com1.csv", "LPT1/x", "C:/x", "c:x", "a:b", "a:stream:$DATA", "%2e%2e/%2e%2e/etc", "..%2f..%2fetc", "%00", "a%0ab", "...",
    "..../x", "a...", "a.", "a. .b", "~", "~/x", "~root/x", "-rf", "--help", "$HOME", "${IFS}x", "`id`", "$(id)", "a;b", "a|b",
    "a&b", "a>b", "*", "?", "[a-z]", "{a,b}", "'", '"', "' OR '1'='1", "'; DROP TABLE artifacts; --", "%", "_", "%s", "{0}",
    "{key}", "#", "@", "+1", "=cmd|'/C calc'!A0", "@SUM(1)", "<script>alert(1)<\u2044script>", "<img src=x onerror=alert(1)>",
    "&lt;b&gt;", "]]>", "<!--", "[bold]x", "null", "None", "true", "0", "1e309", "NaN", "__proto__", "constructor", ".git",
    ".ssh/authorized_keys", ".lineagelog", ".lineagelog/objects", ".lineagelog-staging/x", "store.db", "config.json", "\ufb01",
    "fi", "\u017f", "ß", "SS", "\u0130", "i\u0307", "\u212a", "\u212b", "x" * 1024, "ä" * 512, "a/" * 400 + "a", "http:/x",
    "s3:/bucket", "x y  z", "tab\u2003le", "\u0301x", "a\u200db", "\u2167", "\U0001d4b3", "\U0001f1e9\U0001f1ea", "\ue000",
    "\ufdfa", "\u0430", "a /b", "a/ b", "\u3164",
]  # fmt: skip
"""Keys that are labels like any other."""


def tree_hash(folder: Path, without: Path) -> str:
    """Hash all names, types, times of change and link targets below a folder, but for one part of it."""
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted((name for name in folders if Path(parent, name) != without), key=os.fsencode)
        for path in (Path(parent, name) for name in sorted([*folders, *names], key=os.fsencode)):
            status = path.lstat()
            target = path.readlink() if path.is_symlink() else ""
            stamp = 0 if path.is_dir() else status.st_ctime_ns
            digest.update(os.fsencode(f"{path} {status.st_mode} {stamp} {target}\n"))
    return digest.hexdigest()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Write a file with any name."""

    def make(name: bytes, text: str) -> Path:
        path = tmp_path / "outside" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return make


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage location of each kind."""
    if request.param == "local":
        return str(tmp_path / "store" / "second")
    if request.param == "s3":
        request.getfixturevalue("s3_environment")
        return f"s3://bucket/{uuid.uuid4().hex}"
    return f"memory://{uuid.uuid4().hex}"


def test_the_corpus_is_large_enough_and_nothing_is_in_it_twice() -> None:
    assert len(set(map(repr, REFUSED))) == len(REFUSED)
    assert len(set(ACCEPTED)) == len(ACCEPTED)
    assert len(REFUSED) + len(ACCEPTED) >= 200


def test_a_hostile_key_is_refused_or_a_label_with_one_verdict_everywhere(
    store: Store, write: Callable[[bytes, str], Path], tmp_path: Path
) -> None:
    assert store.folder is not None
    path = write(b"a.csv", "a\n1\n")
    before, head = tree_hash(tmp_path, without=store.folder), store.log.head()
    for key in REFUSED:
        with pytest.raises(errors.InvalidValueError):
            ln.Artifact(path, key=key, run=False)
    assert store.log.head() == head
    saved = ln.save([ln.Artifact(path, key=key, run=False) for key in ACCEPTED])
    normal = [unicodedata.normalize("NFC", key) for key in ACCEPTED]
    assert [artifact.key for artifact in saved] == normal
    for key in normal:
        found = ln.Artifact.filter(key=key).to_list()
        assert {artifact.key for artifact in found} == {key}, key
        assert Path(found[0].path).parent == store.folder / ".lineagelog/objects" / store.uid
    assert ln.Artifact.filter().count() == len(set(normal))
    assert tree_hash(tmp_path, without=store.folder) == before


def test_two_spellings_of_one_key_are_one_family_and_other_twins_are_two(
    store: Store, write: Callable[[bytes, str], Path]
) -> None:
    first = ln.Artifact(write(b"1", "1"), key="caf\u00e9", run=False).save()
    second = ln.Artifact(write(b"2", "2"), key="cafe\u0301", run=False).save()
    assert (second.version_number, second.uid[:16]) == (1, first.uid[:16])
    for number, key in enumerate(("CAFÉ", "cafe", "\u0441\u0430f\u00e9")):
        assert ln.Artifact(write(b"3", f"3{number}"), key=key, run=False).save().version_number == 0


FILE_NAMES = (
    b"..x", b"a\\..\\b.csv", b"a\nb.csv", b"\xff\xfe.csv", b"a.\xff", b"\xe2\x80\xae.exe", b"a.b\x1b[2J", b" x . ", b"-rf",
    b"x." + b"y" * 200, b"CON", b"%2e%2e%2f", b"a" * 255, b"\xef\xbb\xbf", b"$(id)", b"a.csv\\", b".tar.gz", b"a..",
)  # fmt: skip


def test_a_file_of_any_name_is_stored_at_a_path_that_does_not_hold_it(
    sqlite_store: Store, root: str, write: Callable[[bytes, str], Path], tmp_path: Path
) -> None:
    sqlite_store.Storage(root).save().make_default()
    paths = [write(name, f"content of {name!r}") for name in FILE_NAMES]
    before = tree_hash(tmp_path / "outside", without=tmp_path)
    artifacts = ln.save([ln.Artifact(path, key=f"label/{number}", run=False) for number, path in enumerate(paths)])
    for artifact, name in zip(artifacts, FILE_NAMES, strict=True):
        assert isinstance(artifact, ln.Artifact)
        assert artifact.cache().read_text() == f"content of {name!r}"
        assert re.fullmatch(r"\.lineagelog/objects/\w{8}/[0-9a-f-]{36}(\.[\w+-]{1,16}){0,2}", artifact.storage_path)
    assert tree_hash(tmp_path / "outside", without=tmp_path) == before


def test_a_file_in_place_with_a_name_that_is_no_key_is_refused(sqlite_store: Store) -> None:
    assert sqlite_store.folder is not None
    for name in (b"a\nb", b"\xff\xfe", b"a\xe2\x80\xaeb", b" a", b"a\\b", b"\xe2\x80\x8b", b"a\x7f"):
        path = sqlite_store.folder / os.fsdecode(name)
        path.write_text("x")
        with pytest.raises(errors.InvalidValueError):
            ln.Artifact(path, run=False)
    assert ln.Artifact.filter().count() == 0


def make_odd(place: Path, kind: str) -> None:
    """Make something that is neither a file nor a folder, or a file whose name is no text."""
    targets = {
        "link": "../a.txt",
        "link out": "/etc/hostname",
        "link to folder": "/etc",
        "dangling": "gone",
        "loop": ".",
    }
    if kind in targets:
        place.symlink_to(targets[kind])
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(place.parent):
            server.bind(place.name)
    elif kind == "device":
        os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    else:
        place.with_name(os.fsdecode(b"\xff")).write_text("x")


def test_a_folder_with_what_is_no_content_is_refused(sqlite_store: Store, root: str, tmp_path: Path) -> None:
    sqlite_store.Storage(root).save().make_default()
    head = sqlite_store.log.head()
    kinds = ["link", "link out", "link to folder", "dangling", "loop", "pipe", "socket", "not text"]
    for kind in [*kinds, *(["device"] if os.geteuid() == 0 else [])]:
        folder = tmp_path / kind
        (folder / "deep").mkdir(parents=True)
        (folder / "a.txt").write_text("a")
        make_odd(folder / "deep" / "odd", kind)
        with pytest.raises(errors.UnsupportedFormatError):
            ln.Artifact(folder, key="many", run=False).save()
    assert sqlite_store.log.head() == head


def test_hard_links_are_content_and_a_change_through_one_is_found(sqlite_store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("a")
    os.link(tmp_path / "outside.txt", folder / "a.txt")
    os.link(tmp_path / "outside.txt", folder / "b.txt")
    artifact = ln.Artifact(folder, key="many", run=False).save()
    assert artifact.n_files == 2
    (tmp_path / "outside.txt").write_text("b")
    # What was stored is a copy of its own.
    assert (artifact.cache() / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    "name", ["../../evil", "/abs/evil", "..", "a/../../evil", "a\\..\\evil", "a\x1b[2Jb", "\u202eevil"]
)
def test_names_in_a_hostile_bucket_lead_nowhere(
    sqlite_store: Store, s3_environment: str, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import boto3

    prefix = uuid.uuid4().hex
    client = boto3.client("s3", endpoint_url=s3_environment)
    client.put_object(Bucket="bucket", Key=f"{prefix}/data/ok.txt", Body=b"ok")
    client.put_object(Bucket="bucket", Key=f"{prefix}/data/{name}", Body=b"evil")
    client.close()
    assert sqlite_store.folder is not None
    before = tree_hash(tmp_path, without=sqlite_store.folder)
    storage = open_storage(f"s3://bucket/{prefix}")
    target = sqlite_store.folder / "target" / "data"
    try:
        storage.fetch("data", target)
    except errors.LineageLogError:
        assert not target.exists()
    else:
        assert all(path.resolve().is_relative_to(target) for path in target.rglob("*"))
    ln.view_tree(f"s3://bucket/{prefix}/data")
    assert not {"\x1b", "\u202e"} & set(capsys.readouterr().out)
    assert tree_hash(tmp_path, without=sqlite_store.folder) == before
    assert not [path for path in tmp_path.rglob("*evil*") if not path.is_relative_to(target)]


def md5_twins() -> tuple[bytes, bytes]:
    """The two blocks of Wang and Yu, which have one MD5."""
    first = bytes.fromhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
        "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
        "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
    )
    second = bytearray(first)
    for place in (19, 45, 59, 83, 109, 123):
        second[place] ^= 0x80
    return first, bytes(second)


def test_contents_that_weaker_hashes_take_for_one_are_two(sqlite_store: Store, tmp_path: Path) -> None:
    first, second = md5_twins()
    assert first != second
    assert hashlib.md5(first).digest() == hashlib.md5(second).digest()
    large = 30_000_000
    twins = {"md5": (first, second), "middle": (b"", b"")}
    (tmp_path / "md5-0").write_bytes(first)
    (tmp_path / "md5-1").write_bytes(second)
    for number in range(2):
        with (tmp_path / f"middle-{number}").open("wb") as file:
            file.truncate(large)
            file.seek(large // 2)
            file.write(bytes([number]))
    for name in twins:
        one, other = (
            ln.Artifact(tmp_path / f"{name}-{number}", run=False, key=f"{name}{number}").save() for number in range(2)
        )
        assert one.hash != other.hash
        # Without a key, too, the second is not taken for the first.
        assert ln.Artifact(tmp_path / f"{name}-1", run=False).save() == other
    empty = tmp_path / "empty"
    empty.touch()
    nothing = ln.Artifact(empty, key="empty", run=False).save()
    assert (nothing.size, nothing.hash) == (0, hashlib.sha256().hexdigest())
    assert nothing.cache().read_bytes() == b""


ESCAPES = (
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\r\noverwritten", "\u202egnp.exe", "\x1b]8;;http://x\x1b\\y", "\x08\x08",
)  # fmt: skip
MARKUP = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "</td></table><h1>x")


def test_no_text_can_steer_a_terminal_or_become_html(
    sqlite_store: Store, write: Callable[[bytes, str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    nasty = " ".join((*ESCAPES, *MARKUP))
    artifact = ln.Artifact(write(b"a.txt", "a"), key="<b>bold</b>", description=nasty, run=False).save()
    artifact.description = f"{nasty} again"
    artifact.save(reason=nasty)
    transform = ln.Transform("<i>t</i>", type="script").save()
    with ln.Run(transform, params={"p": nasty}) as tracked:
        artifact.cache()
    label = ln.ULabel(name="<u>label</u>", description=nasty).save()
    artifact.ulabels.add(label)
    ln.view()
    artifact.describe()
    tracked.describe()
    print(artifact, ln.Artifact.filter(), artifact.ulabels, tracked)
    place = ["--store", str(sqlite_store.folder)]
    verbs = (
        ["show", artifact.uid], ["show", tracked.uid], ["artifacts"], ["runs"], ["transforms"], ["log"], ["lineage", artifact.uid],
        ["info"], ["tree", str(sqlite_store.folder)], ["show", artifact.uid, "--json"], ["log", "--json"], ["show", nasty],
    )  # fmt: skip
    for verb in verbs:
        run([*verb, *place])
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert not set(text) & ({*CONTROL, *BIDI} - {"\n"}), sorted(set(text) & {*CONTROL, *BIDI})
    displayed: list[Any] = []
    monkeypatch.setattr("lineagelog.registries.description.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", displayed.append)
    for record in (artifact, tracked, label):
        record.describe()
    pages = [item._repr_mimebundle_((), ())["text/html"] for item in displayed]
    pages += [ln.Artifact.filter()._repr_html_(), ln.Run.filter()._repr_html_(), ln.ULabel.filter()._repr_html_()]
    for page in pages:
        assert not re.search(r"<\s*(script|img|svg|h1|b|i|u)\b|</(b|i|u)>", page), page


@given(st.text(max_size=60) | st.text("./\\ a\u200b\u202e\ue000:~%", max_size=12))
def test_a_key_that_is_accepted_is_in_its_normal_form_and_leads_nowhere(text: str) -> None:
    try:
        key = check_key(text)
    except errors.InvalidValueError:
        return
    assert check_key(key) == key == unicodedata.normalize("NFC", key)
    assert len(key.encode()) <= 1024
    joined = os.path.normpath(f"/root/of/storage/{key}")
    assert joined.startswith("/root/of/storage/")
    assert not set(key) & {*CONTROL, *BIDI, *INVISIBLE}
