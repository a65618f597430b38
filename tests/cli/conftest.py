"""A working directory of its own for each test, the command run in this process, and a store with a small story."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from lineagelog import api, current, location
from lineagelog.cli.app import run
from lineagelog.store import Store


class Result(NamedTuple):
    """What a call of the command gave."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """The one JSON object that was printed."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def objects(self) -> list[Any]:
        """The JSON objects that were printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Prov: TypeAlias = Callable[..., Result]


class Story(NamedTuple):
    """A store in `./mydata`, and the names of what is in it."""

    raw: str
    clean: str
    run: str
    transform: str


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing of this machine's user is read or written."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (
        "LINEAGELOG_STORE",
        "LINEAGELOG_USER",
        "LINEAGELOG_QUIET",
        "FORCE_COLOR",
        "COLUMNS",
        "LINEAGELOG_CACHE_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    yield work
    api.close()


@pytest.fixture
def prov(capsys: pytest.CaptureFixture[str]) -> Prov:
    """Run `prov` with these arguments in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


def tell_story(store: Store) -> Story:
    """Ana uploads a file, a run of hers reads it and saves another, and she corrects a description."""
    Path("raw.csv").write_text("a,b\n1,2\n")
    Path("clean.csv").write_text("a,b\n1,3\n")
    store.login("ana", name="Ana Nowak", keep=True)
    with store.as_current():
        raw = store.Artifact("raw.csv", key="raw/iris.csv", description="flowers").save()
        transform = store.Transform("clean.py", type="script").save()
        with store.Run(transform, params={"k": 3}) as run_:
            raw.cache()
            clean = store.Artifact("clean.csv", key="clean/iris.csv", description="a\x1b[31mred\u202e").save()
        raw.description = "iris flowers"
        raw.save(reason="typo")
    return Story(raw.uid, clean.uid, run_.uid, transform.uid)


@pytest.fixture(scope="session")
def told_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Story]:
    """The story in a store on SQLite, to be copied: a store may move."""
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        (folder / "work").mkdir()
        patch.chdir(folder / "work")
        with Store.create("mydata") as store:
            assert store.folder is not None
            location.point_to(store.folder, Path.cwd())
            told = tell_story(store)
    return folder, told


@pytest.fixture
def story(told_once: tuple[Path, Story], working_directory: Path) -> Story:
    """The story in a store on SQLite, in `./mydata`."""
    folder, told = told_once
    shutil.copytree(folder / "work", working_directory, dirs_exist_ok=True)
    shutil.copytree(folder / "config", working_directory.parent / "config")
    # The list of stores remembers where the original is.
    with Store.open("mydata"):
        return told


@pytest.fixture(params=["sqlite", "postgresql"])
def story_on_each(request: pytest.FixtureRequest) -> Story:
    """The story in a store on each database in turn, in `./mydata`."""
    if request.param == "sqlite":
        told: Story = request.getfixturevalue("story")
        return told
    with Store.create("mydata", db=request.getfixturevalue("postgresql_address")) as store:
        assert store.folder is not None
        location.point_to(store.folder, Path.cwd())
        return tell_story(store)


@pytest.fixture
def head() -> Callable[[], tuple[int, str]]:
    """Read the end of the log of `./mydata`."""

    def read() -> tuple[int, str]:
        with Store.open("mydata") as store:
            return store.log.head()

    return read


@pytest.fixture(autouse=True)
def no_store_left_open() -> Iterator[None]:
    """A command closes what it opened."""
    yield
    assert current._store is None
