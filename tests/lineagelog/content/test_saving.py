"""Saving under difficulties: many processes, threads, forks, and writers that are killed at any moment."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.content import placing
from lineagelog.content.disposal import Family
from lineagelog.domain.event import NewEvent
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
StartScript = Callable[..., "subprocess.Popen[str]"]
RunScript = Callable[..., "subprocess.CompletedProcess[str]"]

N_PROCESSES = 4
N_SAVES = 20
N_KILLS = 40

SAVE_MANY = """
import sys
import pandas as pd
import lineagelog as ln

writer, n_saves = int(sys.argv[1]), int(sys.argv[2])
with ln.Run(ln.Transform(f"writer {writer}")):
    for number in range(n_saves):
        content = writer * 1000 + number
        artifact = ln.Artifact(pd.DataFrame({"x": [content]}), key="shared.parquet").save()
        print(artifact.uid, content, flush=True)
"""

SAVE_UNTIL_KILLED = """
import sys
import lineagelog as ln

run = ln.Run(ln.Transform("doomed")).save()
print("ready", flush=True)
for number in range(100_000):
    content = f"{sys.argv[1]}-{number}"
    with open(sys.argv[2], "w") as file:
        file.write(content)
    artifact = ln.Artifact(sys.argv[2], key=f"{number % 3}.txt", run=run).save()
    print(artifact.uid, content, flush=True)
"""


def test_each_of_many_writers_of_one_key_keeps_its_own_content(store: Store, start_script: StartScript) -> None:
    processes = [
        start_script(SAVE_MANY, name=f"writer{number}.py", arguments=(str(number), str(N_SAVES)), LINEAGELOG_QUIET="1")
        for number in range(N_PROCESSES)
    ]
    acknowledged: dict[str, int] = {}
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        for line in out.splitlines():
            uid, content = line.split()
            assert uid not in acknowledged
            acknowledged[uid] = int(content)
    assert len(acknowledged) == N_PROCESSES * N_SAVES
    versions = list(ln.Artifact.filter(key="shared.parquet").order_by("version_number"))
    assert [version.version_number for version in versions] == list(range(N_PROCESSES * N_SAVES))
    assert len({version.uid[:16] for version in versions}) == 1
    assert [version.is_latest for version in versions] == [False] * (len(versions) - 1) + [True]
    assert {version.uid: int(version.load()["x"][0]) for version in versions} == acknowledged


SAVE_THE_SAME = """
import sys, time
from pathlib import Path
import pandas as pd
import lineagelog as ln

store = ln.current_store()
Path(sys.argv[1], f"ready-{sys.argv[2]}").touch()
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
print(ln.Transform("same", source_code="x").save().uid, ln.Artifact(pd.DataFrame({"a": [1]}), run=False).save().uid)
"""


def test_the_same_code_and_content_saved_by_many_at_once_is_one_of_each(
    store: Store, start_script: StartScript, tmp_path: Path
) -> None:
    arguments = [(str(tmp_path), str(number)) for number in range(N_PROCESSES)]
    processes = [start_script(SAVE_THE_SAME, name=f"s{a[1]}.py", arguments=a, LINEAGELOG_QUIET="1") for a in arguments]
    while len(list(tmp_path.glob("ready-*"))) < N_PROCESSES:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    (tmp_path / "go").touch()
    answers = set()
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answers.add(out)
    assert len(answers) == 1
    assert ln.Transform.filter().count() == ln.Artifact.filter().count() == 1


def test_a_run_that_ends_while_its_output_is_saved_gets_none(
    store: Store, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lineagelog.content import saving

    run = ln.Run(ln.Transform("make")).save()
    commit = saving._commit

    def end_and_commit(*arguments: object) -> None:
        commit(*arguments)  # type: ignore[arg-type]
        run.finish()

    monkeypatch.setattr(saving, "_commit", end_and_commit)
    with pytest.raises(errors.RunClosedError):
        ln.Artifact(frame(), key="t.parquet", run=ln.Run.get(run.uid)).save()
    assert ln.Artifact.filter().count() == 0
    assert store.folder is not None
    assert not list((store.folder / ".lineagelog" / "objects").glob("*/*"))


def test_a_store_that_is_open_twice_has_one_current_run(store: Store, store_folder: Path, frame: Frame) -> None:
    with Store.open(store_folder) as again, ln.Run(ln.Transform("make")) as run:
        assert again.Artifact(frame(), key="t.parquet").save().run == run
        assert again.Artifact(frame(2), key="u.parquet", run=run).save().run == run


def test_writers_killed_at_any_moment_leave_no_artifact_without_its_content(
    sqlite_store: Store, start_script: StartScript, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    acknowledged: dict[str, str] = {}
    lock = threading.Lock()

    def kill_again_and_again(worker: int) -> None:
        for kill in range(N_KILLS // 2):
            name = f"{worker}-{kill}"
            process = start_script(
                SAVE_UNTIL_KILLED,
                name=f"doomed{name}.py",
                arguments=(name, str(tmp_path / f"{name}.txt")),
                LINEAGELOG_QUIET="1",
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            # Half of them die at any moment of the first save, which takes as long as the machine is busy; the others have
            # saved something before.
            first = process.stdout.readline() if kill % 2 else ""
            with lock:
                pause = rng.uniform(0, 0.2)
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
            out = first + rest
            # The last line may have been cut by the kill.
            with lock:
                acknowledged.update(line.split() for line in out.split("\n")[:-1])  # type: ignore[misc]

    workers = [threading.Thread(target=kill_again_and_again, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert acknowledged, "nothing was saved before the kills"
    registered = {artifact.uid: artifact.load() for artifact in ln.Artifact.all()}
    assert {uid: registered.get(uid) for uid in acknowledged} == acknowledged
    for key in ("0.txt", "1.txt", "2.txt"):
        versions = ln.Artifact.filter(key=key)
        assert sorted(versions.values_list("version_number")) == [(number,) for number in range(versions.count())]
        assert versions.filter(is_latest=True).count() == min(versions.count(), 1)
    assert {run.status for run in ln.Run.all()} == {"started"}


def test_threads_save_side_by_side_into_one_run(store: Store, frame: Frame) -> None:
    failures: list[BaseException] = []
    with ln.Run(ln.Transform("threads")) as run:

        def save(number: int) -> None:
            try:
                for turn in range(5):
                    ln.Artifact(frame(number * 10 + turn), key="shared.parquet", run=run).save()
            except BaseException as exc:  # noqa: BLE001 - shown by the assertion
                failures.append(exc)

        threads = [threading.Thread(target=save, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    versions = ln.Artifact.filter(key="shared.parquet")
    assert sorted(number for (number,) in versions.values_list("version_number")) == list(range(20))
    assert versions.filter(is_latest=True).count() == 1
    assert run.outputs.count() == 20


def test_a_tracked_run_holds_in_threads_too(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import threading
        import pandas as pd
        import lineagelog as ln
        run = ln.track(ln.Transform("threads"))
        thread = threading.Thread(
            target=lambda: ln.Artifact(pd.DataFrame({"x": [1]}), key="t.parquet").save()
        )
        thread.start()
        thread.join()
        assert run.outputs.count() == 1
        """
    )


def test_a_store_opened_before_a_fork_works_on_both_sides(store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import os
        import pandas as pd
        import lineagelog as ln
        run = ln.track(ln.Transform("fork"))
        ln.Artifact(pd.DataFrame({"x": [1]}), key="before.parquet").save()
        children = []
        for number in range(2):
            pid = os.fork()
            if pid == 0:
                for turn in range(5):
                    ln.Artifact(pd.DataFrame({"x": [number * 10 + turn]}), key="shared.parquet").save()
                os._exit(0)
            children.append(pid)
        for turn in range(5):
            ln.Artifact(pd.DataFrame({"x": [100 + turn]}), key="shared.parquet").save()
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
        assert run.outputs.count() == 16
        """,
        PYTHONWARNINGS="default",
    )
    versions = ln.Artifact.filter(key="shared.parquet").order_by("version_number")
    assert [version.version_number for version in versions] == list(range(15))
    assert sorted(int(version.load()["x"][0]) for version in versions) == [*range(5), *range(10, 15), *range(100, 105)]


def test_a_file_that_changes_while_it_is_saved_is_refused(sqlite_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(os.urandom(3_000_000))
    artifact = ln.Artifact(path, key="growing.bin", run=False)
    head = sqlite_store.log.head()
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            with path.open("r+b") as file:
                file.write(os.urandom(16))
            time.sleep(0.0005)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with pytest.raises(errors.ContentChangedError, match=r"growing\.bin"):
            artifact.save()
    finally:
        stop.set()
        writer.join()
    assert sqlite_store.log.head() == head
    assert sqlite_store.folder is not None
    assert not list(sqlite_store.folder.rglob("*.bin"))


def test_an_interrupt_after_the_commit_takes_no_content_away(
    store: Store, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = store.log.append

    def interrupted(events: list[NewEvent], **options: Any) -> None:
        append(events, **options)
        raise KeyboardInterrupt

    artifact = store.Artifact(frame(), key="t.parquet", run=False)
    monkeypatch.setattr(store.log, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        artifact.save()
    monkeypatch.undo()
    pd.testing.assert_frame_equal(store.Artifact.get(key="t.parquet").load(), frame())


def test_a_save_that_is_refused_after_it_lost_a_race_leaves_no_bytes(
    sqlite_store: Store, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite_store
    first = store.Artifact(write("a.txt", "a"), key="a", run=False).save()
    artifact = store.Artifact(write("b.txt", "b"), key="b", revises=first, run=False)

    def lose(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        store.Artifact(write("c.txt", "c"), key="b", run=False).save()
        raise errors.ConcurrentWriteError("another writer was first")

    monkeypatch.setattr(store, "append", lose)
    with pytest.raises(errors.ConstraintError, match="another family"):
        artifact.save()
    assert store.folder is not None
    objects = store.folder / ".lineagelog" / "objects"
    assert len([path for path in objects.rglob("*") if path.is_file()]) == 2


def test_content_that_another_writer_saves_at_the_same_moment_is_that_one(
    sqlite_store: Store, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read_families = sqlite_store, placing.read_families
    store.Artifact(write("a.txt", "a"), key="k", run=False).save()
    others: list[ln.Artifact] = []

    def read_late(*arguments: Any) -> dict[str, Family]:
        monkeypatch.undo()
        others.append(store.Artifact(write("b.txt", "b"), key="k", run=False).save())
        return read_families(*arguments)

    monkeypatch.setattr(placing, "read_families", read_late)
    assert store.Artifact(write("same.txt", "b"), key="k", run=False).save() == others[0]
    assert others[0].versions.count() == 2


def test_many_files_are_read_at_once_and_stay_what_they_are(sqlite_store: Store, tmp_path: Path) -> None:
    sizes = [2_000_000, 10, 3_000_000, 0, 1_500_000, 1 << 20, 9_000_000, 20]
    artifacts = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"file{number}"
        path.write_bytes(bytes([number]) * size)
        artifacts.append(ln.Artifact(path, key=f"k{number}", run=False))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x").write_bytes(b"x" * 2_000_000)
    artifacts.insert(3, ln.Artifact(tmp_path / "folder", key="folder", run=False))
    artifacts.insert(5, ln.Artifact(pd.DataFrame({"x": range(400_000)}), key="table.parquet", run=False))
    ln.save(artifacts)
    assert [artifact.key for artifact in ln.Artifact.all()] == [artifact.key for artifact in artifacts]
    for number, size in enumerate(sizes):
        stored = ln.Artifact.get(key=f"k{number}")
        assert stored.cache().read_bytes() == bytes([number]) * size
        assert stored.hash == hashlib.sha256(bytes([number]) * size).hexdigest()


def test_of_many_files_the_one_that_fails_is_named_and_nothing_is_left_over(
    sqlite_store: Store, tmp_path: Path
) -> None:
    artifacts = []
    for number in range(30):
        path = tmp_path / f"file{number:02}"
        path.write_bytes(bytes([number]) * (2_000_000 if number % 3 else 10))
        artifacts.append(ln.Artifact(path, key=path.name, run=False))
    (tmp_path / "file16").unlink()
    head = sqlite_store.log.head()
    with pytest.raises(errors.ObjectMissingError, match="file16"):
        ln.save(artifacts)
    assert sqlite_store.log.head() == head
    assert sqlite_store.folder is not None
    assert not list((sqlite_store.folder / ".lineagelog-staging").iterdir())
    objects = sqlite_store.folder / ".lineagelog" / "objects"
    assert not [path for path in objects.rglob("*") if path.is_file()]
    (tmp_path / "file16").write_bytes(b"back")
    ln.save(artifacts)
    assert ln.Artifact.get(key="file16").cache().read_bytes() == b"back"


@pytest.mark.parametrize(("key", "where"), [("copied.bin", "the storage location"), ("t.parquet", "temporary folder")])
def test_what_finds_no_room_is_called_by_its_key_and_leaves_nothing(
    sqlite_store: Store, tmp_path: Path, run_script: RunScript, key: str, where: str
) -> None:
    (tmp_path / "copied.bin").write_bytes(b"x" * 3_000_000)
    script = run_script(
        """
        import resource, signal, sys
        import numpy, pandas
        import lineagelog as ln
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Python keeps compiled modules that were cut short, and stumbles over them later.
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        what = sys.argv[1] if sys.argv[1].endswith(".bin") else pandas.DataFrame({"x": numpy.random.rand(500_000)})
        try:
            ln.Artifact(what, key=sys.argv[2], run=False).save()
        except ln.errors.StorageError as error:
            print(error)
        """,
        arguments=(str(tmp_path / key), key),
    )
    assert where in script.stdout, script.stderr
    assert "File too large" in script.stdout
    assert "staging" not in script.stdout
    assert sqlite_store.folder is not None
    assert not list((sqlite_store.folder / ".lineagelog-staging").glob("*"))
    assert ln.Artifact.all().count() == 0


def test_a_table_in_one_column_whose_name_holds_another_separator_is_pointed_out(
    sqlite_store: Store, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_store.Artifact(write("a.csv", "a,b;c\n1,2\n"), key="plain.csv", run=False).save()
    sqlite_store.Artifact(write("b.csv", "only one\n1\n"), key="narrow.csv", run=False).save()
    assert "separated" not in capsys.readouterr().err
    artifact = sqlite_store.Artifact(write("c.csv", "a;b;c\n1;2;3\n"), key="german.csv", run=False).save()
    assert "german.csv is recorded with one column, 'a;b;c'" in (said := capsys.readouterr().err)
    assert "load(sep=';')" in said
    assert list(artifact.load(sep=";").columns) == ["a", "b", "c"]


def test_nothing_is_saved_by_a_name_that_the_store_has_lost(sqlite_store: Store, frame: Frame, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "store", tmp_path / "moved"
    sqlite_store.Artifact(frame(1), key="a.parquet", run=False).save()
    head = sqlite_store.log.head()
    folder.rename(elsewhere)
    try:
        with pytest.raises(errors.StorageError, match=r"1 artifacts lies in it.*Mount its disk"):
            sqlite_store.Artifact(frame(2), key="b.parquet", run=False).save()
        assert not folder.exists(), "the folder was made anew"
        with pytest.raises(errors.StoreUnavailableError):
            sqlite_store.ULabel("lost").save()
        (folder / ".lineagelog").mkdir(parents=True)
        (folder / ".lineagelog" / "store.db").touch()
        with pytest.raises(errors.StoreUnavailableError, match="moved, removed or replaced"):
            sqlite_store.ULabel("lost").save()
        shutil.rmtree(folder)
    finally:
        elsewhere.rename(folder)
    assert sqlite_store.log.head() == head
    sqlite_store.Artifact(frame(2), key="b.parquet", run=False).save()


def test_a_store_that_must_not_be_looked_into_is_an_error_with_its_name(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(errors.StoreUnavailableError, match=r"config\.json cannot be read: Permission denied"):
        Store.open(sqlite_store.folder)
    monkeypatch.undo()


def test_a_version_tag_given_twice_in_a_family_is_pointed_out(
    sqlite_store: Store, frame: Frame, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sqlite_store.Artifact(frame(1), key="t.parquet", version="1.0", run=False).save()
    sqlite_store.Artifact(frame(2), key="t.parquet", version="1.1", run=False).save()
    sqlite_store.Artifact(frame(2), key="other.parquet", version="1.0", run=False).save()
    assert "tag" not in capsys.readouterr().err
    third = sqlite_store.Artifact(frame(3), key="t.parquet", version="1.0", run=False).save()
    assert f"the version tag '1.0' is that of {first.uid} too" in capsys.readouterr().err
    third.version = "1.2"
    third.save()
    assert sqlite_store.Artifact.get(key="t.parquet", version="1.0") == first
