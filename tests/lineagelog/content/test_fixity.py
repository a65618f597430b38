"""Checks of stored content: what was altered, cut off or removed behind the store's back is found, and goes on record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.content.fixity import StorageReport
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactVerified
from lineagelog.domain.ids import new_id
from lineagelog.domain.storage import StorageChecked
from lineagelog.store import Store

Write = Callable[[str, str], Path]


@pytest.fixture
def saved(write: Write) -> Callable[..., ln.Artifact]:
    """Save a text file under a key."""

    def save(key: str, text: str = "content\n", **options: Any) -> ln.Artifact:
        return ln.Artifact(write(key, text), key=key, run=False, **options).save()

    return save


def verified(store: Store) -> list[tuple[str, str]]:
    """Read what is on record of single artifacts: uid and outcome."""
    uids = {artifact.id: artifact.uid for artifact in store.Artifact.filter(state__in=["live", "trashed", "deleted"])}
    return [
        (uids[event.stream], event.fact.outcome) for event in store.events() if isinstance(event.fact, ArtifactVerified)
    ]


def outcomes(report: StorageReport) -> dict[str, str]:
    return {finding.uid: finding.outcome for finding in report.findings()}


def test_a_flipped_byte_a_cut_and_a_removal_are_found_and_recorded(store: Store, saved: Any) -> None:
    flipped, cut, removed, same = (
        saved(f"{name}.txt", f"{name} 0123456789") for name in ("flip", "cut", "gone", "same")
    )
    flipped.path.write_bytes(b"F" + flipped.path.read_bytes()[1:])
    cut.path.write_bytes(cut.path.read_bytes()[:3])
    removed.path.unlink()

    report = store.check_storage()

    assert not report.ok
    assert outcomes(report) == {removed.uid: "missing", flipped.uid: "changed", cut.uid: "changed"}
    (place,) = report.locations
    assert (place.n_artifacts, place.orphans, place.problem) == (4, (), None)
    assert place.bytes_read == flipped.size + 3 + same.size
    found = {finding.uid: finding for finding in report.findings()}
    assert found[flipped.uid].found_hash not in (None, flipped.hash)
    assert found[cut.uid].found_size_bytes == 3
    assert sorted(verified(store)) == sorted(outcomes(report).items())
    *_, last = store.events()
    assert isinstance(last.fact, StorageChecked)
    assert (last.fact.n_artifacts, last.fact.n_missing, last.fact.n_changed, last.fact.content_read) == (4, 1, 2, True)
    assert {a.uid for a in ln.Artifact.filter(content_status="changed")} == {flipped.uid, cut.uid}
    assert ln.Artifact.get(same.uid).content_status is None
    assert ln.Artifact.get(removed.uid).verified_at is not None
    assert store.storage.checked_at is not None
    for word in ("MISSING", "CHANGED", flipped.uid, "WHAT TO DO"):
        assert word in report.to_text()


def test_content_that_was_put_back_is_recorded_as_intact_once(store: Store, saved: Any) -> None:
    artifact = saved("a.txt")
    content = artifact.path.read_bytes()
    artifact.path.unlink()
    store.check_storage()
    artifact.path.write_bytes(content)
    assert store.check_storage(content=False).ok
    assert ln.Artifact.get(artifact.uid).content_status == "missing", "presence alone proves nothing"
    report = store.check_storage()
    assert report.ok
    assert outcomes(report) == {artifact.uid: "intact"}
    assert store.check_storage().ok
    assert verified(store) == [(artifact.uid, "missing"), (artifact.uid, "intact")]
    assert ln.Artifact.get(artifact.uid).content_status == "intact"


def test_a_check_without_content_finds_presence_and_size_only(sqlite_store: Store, saved: Any) -> None:
    flipped, cut, removed = (saved(f"{name}.txt", f"{name} 0123456789") for name in ("flip", "cut", "gone"))
    flipped.path.write_bytes(b"F" + flipped.path.read_bytes()[1:])
    cut.path.write_bytes(b"")
    removed.path.unlink()
    report = sqlite_store.check_storage(content=False)
    assert outcomes(report) == {cut.uid: "changed", removed.uid: "missing"}
    assert report.locations[0].bytes_read == 0
    assert sqlite_store.storage.checked_at is None
    assert "NOT CHECKED: the bytes" in report.to_text()


def test_folders_are_checked_file_by_file(sqlite_store: Store, tmp_path: Path) -> None:
    folders = []
    for name in ("same", "more", "less", "link", "file"):
        folder = tmp_path / "outside" / name
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "a.txt").write_text(name)
        (folder / "b.txt").write_text("b")
        folders.append(ln.Artifact(folder, key=name, run=False).save())
    same, more, less, link, file = folders
    (more.path / "c.txt").write_text("c")
    (less.path / "b.txt").unlink()
    (link.path / "b.txt").unlink()
    (link.path / "b.txt").symlink_to(same.path / "b.txt")
    for path in sorted(file.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    file.path.rmdir()
    file.path.write_text("now a file")
    report = sqlite_store.check_storage()
    assert outcomes(report) == dict.fromkeys((more.uid, less.uid, link.uid, file.uid), "changed")


def test_verify_reads_one_artifact_and_always_records(store: Store, saved: Any) -> None:
    artifact = saved("a.txt")
    assert artifact.verify() == "intact"
    assert artifact.content_status == "intact"
    artifact.path.write_text("other\n")
    assert artifact.verify() == "changed"
    artifact.path.unlink()
    assert artifact.verify() == "missing"
    assert [outcome for _, outcome in verified(store)] == ["intact", "changed", "missing"]
    assert artifact.verified_at is not None
    with pytest.raises(errors.ImmutableFieldError):
        artifact.content_status = "intact"


def test_a_location_that_is_not_there_is_said_and_the_others_are_checked(
    sqlite_store: Store, saved: Any, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "a.txt").write_text("a")
    ln.Storage(disk).save()
    away = ln.Artifact(disk / "a.txt", run=False).save()
    here = saved("here.txt")
    here.path.unlink()
    disk.rename(tmp_path / "unmounted")
    report = sqlite_store.check_storage()
    assert outcomes(report) == {here.uid: "missing"}
    assert [place.problem is None for place in report.locations] == [True, False]
    assert "mount its disk" in report.to_text()
    assert verified(sqlite_store) == [(here.uid, "missing")], "of what could not be looked at nothing is recorded"
    assert not sqlite_store.check_storage(str(disk)).is_complete
    with pytest.raises(errors.StorageError):
        away.path.read_text() if away.path.exists() else away.load()


def test_content_that_cannot_be_read_is_neither_missing_nor_changed(
    sqlite_store: Store, saved: Any, tmp_path: Path
) -> None:
    """A link that leads out of the location is not followed, whatever it leads to."""
    artifact = saved("a.txt")
    outside = tmp_path / "secret.txt"
    outside.write_bytes(artifact.path.read_bytes())
    artifact.path.unlink()
    artifact.path.symlink_to(outside)
    report = sqlite_store.check_storage()
    assert outcomes(report) == {artifact.uid: "unchecked"}
    assert report.is_intact
    assert not report.ok
    assert verified(sqlite_store) == []
    with pytest.raises(errors.StorageError, match="leads out"):
        ln.Artifact.get(artifact.uid).verify()


def test_a_hash_of_an_unknown_kind_is_said_to_be_unchecked(sqlite_store: Store) -> None:
    (Path(sqlite_store.storage.root) / "x.bin").write_bytes(b"1234")
    fact = ArtifactRegistered(
        uid="X" * 16 + "0000", version_number=0, storage=sqlite_store.default_storage_id, path="x.bin", size_bytes=4,
        hash="e" * 32, hash_type="md5-etag", key="x.bin", key_is_virtual=False,
    )  # fmt: skip
    sqlite_store.append([sqlite_store.new_event(fact, new_id())])
    report = sqlite_store.check_storage()
    (finding,) = report.findings()
    assert finding.outcome == "uncheckable"
    assert "md5-etag" in str(finding.why)
    assert report.ok, "it is there, and nothing is known to be wrong"
    with pytest.raises(errors.UnsupportedFormatError, match="md5-etag"):
        ln.Artifact.get(fact.uid).verify()


def test_one_location_can_be_named_by_uid_root_or_record(sqlite_store: Store, saved: Any, tmp_path: Path) -> None:
    saved("a.txt")
    other = ln.Storage(tmp_path / "other").save()
    for name in (other, other.uid, other.uid[:6], str(tmp_path / "other")):
        (place,) = sqlite_store.check_storage(name).locations
        assert (place.uid, place.n_artifacts) == (other.uid, 0)
    with pytest.raises(errors.RecordNotFoundError, match="name one by its uid or root"):
        sqlite_store.check_storage("nowhere")


def test_a_trashed_artifact_is_checked_and_a_deleted_one_is_not(sqlite_store: Store, saved: Any) -> None:
    from lineagelog.domain.disposal import ArtifactDeleted, ArtifactTrashed
    from lineagelog.projections import schema

    trashed, deleted = saved("trashed.txt"), saved("deleted.txt")
    for artifact in (trashed, deleted):
        artifact.path.unlink()
    gone = ArtifactDeleted(
        storage=deleted.storage_id,
        path=deleted.storage_path,
        hash=deleted.hash,
        size_bytes=deleted.size,
        content_removed=True,
    )
    sqlite_store.append_next(schema.ARTIFACTS, trashed.id, lambda _: ArtifactTrashed())
    sqlite_store.append_next(schema.ARTIFACTS, deleted.id, lambda _: gone)
    assert outcomes(sqlite_store.check_storage()) == {trashed.uid: "missing"}
    with pytest.raises(errors.ArtifactStateError, match="no content to verify"):
        deleted.verify()


def test_an_artifact_deleted_during_the_check_is_not_found_missing(
    sqlite_store: Store, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lineagelog.content import fixity
    from lineagelog.domain.disposal import ArtifactDeleted
    from lineagelog.projections import schema

    artifact = saved("a.txt")
    gone = ArtifactDeleted(
        storage=artifact.storage_id,
        path=artifact.storage_path,
        hash=artifact.hash,
        size_bytes=artifact.size,
        content_removed=True,
    )
    judge = fixity._judge

    def delete_and_judge(*arguments: Any, **options: Any) -> Any:
        sqlite_store.append_next(schema.ARTIFACTS, artifact.id, lambda _: gone)
        artifact.path.unlink()
        return judge(*arguments, **options)

    monkeypatch.setattr(fixity, "_judge", delete_and_judge)
    report = sqlite_store.check_storage()
    assert report.ok
    assert report.locations[0].n_artifacts == 0
    assert verified(sqlite_store) == []


def test_a_store_that_can_only_be_read_is_checked_without_a_record(
    sqlite_store: Store, saved: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = saved("a.txt")
    artifact.path.unlink()
    monkeypatch.setattr(sqlite_store.log.database, "read_only", True)
    before = sqlite_store.log.head()
    report = sqlite_store.check_storage()
    assert outcomes(report) == {artifact.uid: "missing"}
    assert "NOT RECORDED" in report.to_text()
    assert artifact.verify() == "missing"
    assert "not on record" in capsys.readouterr().err
    assert sqlite_store.log.head() == before


def test_what_is_found_is_reported_though_it_cannot_be_recorded(sqlite_store: Store, saved: Any) -> None:
    gone, same = saved("gone.txt"), saved("same.txt", "other")
    gone.path.unlink()
    before = sqlite_store.log.head()
    connection = sqlite_store.log.database._connection().sqlite  # type: ignore[attr-defined]
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    ((free,),) = connection.execute("PRAGMA freelist_count").fetchall()
    # The database may not grow by a single page: the driver says what it says on a full disk.
    connection.execute(f"PRAGMA max_page_count = {pages}")
    assert free == 0
    try:
        for _ in range(300):
            report = sqlite_store.check_storage()
            if not report.is_recorded:
                break
    finally:
        connection.execute("PRAGMA max_page_count = 1073741823")
    (place,) = report.locations
    assert not report.ok
    assert not report.is_recorded
    assert [finding.uid for finding in place.missing] == [gone.uid]
    assert place.n_artifacts == 2
    assert place.unrecorded is not None
    assert "full" in place.unrecorded
    assert f"NOT RECORDED: what was found at {place.root}: " in report.to_text()
    assert "can only be read here" not in report.to_text()
    assert sqlite_store.verify().ok
    assert sqlite_store.log.head().position >= before.position
    again = sqlite_store.check_storage()
    assert again.is_recorded
    assert same.uid not in outcomes(again)


def test_verify_with_content_finds_what_the_log_alone_cannot_show(sqlite_store: Store, saved: Any) -> None:
    artifact = saved("a.txt")
    whole = sqlite_store.verify(content=True)
    assert whole.ok
    assert whole.content is not None
    artifact.path.write_text("altered")
    assert sqlite_store.verify().ok
    assert "NOT CHECKED: the stored content" in sqlite_store.verify().to_text()
    report = sqlite_store.verify(content=True)
    assert not report.ok
    assert report.problems == ()
    assert artifact.uid in report.to_text()
    assert "NOT CHECKED: the stored content" not in report.to_text()


def test_checks_while_others_save_find_nothing_wrong(store: Store, write: Write) -> None:
    assert store.folder is not None
    done = threading.Event()

    def save_many() -> None:
        try:
            with Store.open(store.folder or "") as own:
                for number in range(25):
                    own.Artifact(write(f"n/{number}.txt", str(number)), key=f"n/{number}.txt", run=False).save()
        finally:
            done.set()

    writer = threading.Thread(target=save_many)
    writer.start()
    n_checks = 0
    while not done.is_set() or n_checks == 0:
        report = store.check_storage()
        assert report.ok, report.to_text()
        n_checks += 1
    writer.join()
    assert store.check_storage().locations[0].n_artifacts == 25


@pytest.fixture
def remote_store(s3_environment: str) -> Iterator[Store]:
    """A store whose content lies on an S3 server."""
    with Store.create(f"s3://bucket/{new_id()}", name="study") as store, store.as_current():
        yield store


def test_altered_cut_and_removed_objects_on_s3_are_found(
    remote_store: Store, saved: Any, tmp_path: Path, s3_environment: str
) -> None:
    import boto3

    folder = tmp_path / "outside" / "folder"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    tree = ln.Artifact(folder, key="folder", run=False).save()
    flipped, cut, removed, same = (
        saved(f"{name}.txt", f"{name} 0123456789") for name in ("flip", "cut", "gone", "same")
    )
    prefix = remote_store.storage.root.removeprefix("s3://bucket/")
    client = boto3.client("s3", endpoint_url=s3_environment)
    client.put_object(Bucket="bucket", Key=f"{prefix}/{flipped.storage_path}", Body=b"Flip 0123456789")
    client.put_object(Bucket="bucket", Key=f"{prefix}/{cut.storage_path}", Body=b"cut")
    client.delete_object(Bucket="bucket", Key=f"{prefix}/{removed.storage_path}")
    client.delete_object(Bucket="bucket", Key=f"{prefix}/{tree.storage_path}/b.txt")
    orphan = f"{same.storage_path.rpartition('/')[0]}/{new_id()}.txt"
    client.put_object(Bucket="bucket", Key=f"{prefix}/{orphan}", Body=b"nobody's")
    client.close()

    without = remote_store.check_storage(content=False)
    assert outcomes(without) == {removed.uid: "missing", cut.uid: "changed", tree.uid: "changed"}
    report = remote_store.check_storage()
    assert outcomes(report) == {**outcomes(without), flipped.uid: "changed"}
    (place,) = report.locations
    assert [(found.path, found.size_bytes) for found in place.orphans] == [(orphan, 8)]
    assert ln.Artifact.get(same.uid).verify() == "intact"


def test_an_object_recorded_by_its_servers_mark_is_found_changed_but_never_called_intact(
    remote_store: Store, s3_environment: str
) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_environment)
    prefix = remote_store.storage.root.removeprefix("s3://bucket/")
    client.put_object(Bucket="bucket", Key=f"{prefix}/in-place.txt", Body=b"first")
    marked = ln.Artifact(f"s3://bucket/{prefix}/in-place.txt", run=False, checksum="server").save()
    assert marked.hash_type == "etag"
    report = remote_store.check_storage()
    assert outcomes(report) == {marked.uid: "uncheckable"}
    assert "NOT CHECKED" in report.to_text()
    with pytest.raises(errors.UnsupportedFormatError, match="says nothing of its bytes"):
        marked.verify()
    client.put_object(Bucket="bucket", Key=f"{prefix}/in-place.txt", Body=b"other")
    client.close()
    assert outcomes(remote_store.check_storage()) == {marked.uid: "changed"}
