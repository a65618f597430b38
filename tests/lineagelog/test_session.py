from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors, location
from lineagelog.domain.event import Context
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]


def _topics(store: Store, after: int = 0) -> list[str]:
    return [event.topic for event in store.events(after=after)]


def test_without_a_login_things_are_done_anonymously(store: Store, frame: Frame) -> None:
    artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    assert artifact.created_by is not None
    assert artifact.created_by.handle == "anonymous"
    assert msgspec.json.decode(next(artifact.history()).context, type=Context).auth == "anonymous"


def test_first_login_registers_the_user_and_the_second_finds_it(store: Store) -> None:
    before = store.log.head().position
    user = ln.login("ada", name="Ada Lovelace", email="ada@example.org")
    assert _topics(store, before) == ["user.registered.1", "user.logged_in.1"]
    assert (user.handle, user.name, user.email) == ("ada", "Ada Lovelace", "ada@example.org")
    ln.logout()
    assert ln.login("ada").uid == user.uid
    assert _topics(store, before)[2:] == ["user.logged_out.1", "user.logged_in.1"]


def test_every_event_after_a_login_names_user_and_session(store: Store, frame: Frame) -> None:
    user = store.login("ada", name="Ada")
    artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    (event,) = artifact.history()
    assert event.actor == user.id
    context = msgspec.json.decode(event.context, type=Context)
    assert (context.auth, context.session) == ("declared", store.session.id)
    assert (context.software or "").startswith("lineagelog/")


def test_a_switch_of_user_holds_at_once(store: Store, frame: Frame) -> None:
    store.login("ada", name="Ada")
    first = store.Artifact(frame(1), key="a.parquet", run=False).save()
    prepared = store.Artifact(frame(2), key="b.parquet", run=False)
    store.login("grace", name="Grace")
    second = prepared.save()
    store.logout()
    third = store.Artifact(frame(3), key="c.parquet", run=False).save()
    handles = [artifact.created_by.handle for artifact in (first, second, third) if artifact.created_by]
    assert handles == ["ada", "grace", "anonymous"]


def test_an_unknown_user_is_refused_and_the_attempt_recorded(store: Store) -> None:
    before = store.log.head().position
    with pytest.raises(errors.UserNotFoundError, match="prov login"):
        ln.login("mallory")
    (event,) = store.events(after=before)
    assert event.topic == "login.failed.1"
    assert event.fact.handle == "mallory"  # type: ignore[attr-defined]
    assert store.user.handle == "anonymous"


def test_a_failed_login_leaves_the_present_user_in_place(store: Store) -> None:
    store.login("ada", name="Ada")
    with pytest.raises(errors.UserNotFoundError):
        store.login("mallory")
    assert store.user.handle == "ada"


def test_a_login_with_another_name_records_old_and_new(store: Store) -> None:
    store.login("ada", name="Ada Byron")
    before = store.log.head().position
    assert store.login("ada", name="Ada Lovelace").name == "Ada Lovelace"
    event = next(store.events(after=before, topic="user.updated"))
    change = event.fact.changes["name"]  # type: ignore[attr-defined]
    assert (change.old, change.new) == ("Ada Byron", "Ada Lovelace")


def test_environment_variable_names_the_user(
    store: Store, store_folder: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.login("ada", name="Ada")
    store.logout()
    monkeypatch.setenv("LINEAGELOG_USER", "ada")
    with Store.open(store_folder) as again:
        artifact = again.Artifact(frame(), key="t.parquet", run=False).save()
        assert artifact.created_by is not None
        assert artifact.created_by.handle == "ada"


def test_environment_variable_with_an_unknown_user_writes_nothing(
    store: Store, store_folder: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAGELOG_USER", "nobody")
    head = store.log.head()
    with Store.open(store_folder) as again, pytest.raises(errors.UserNotFoundError, match="LINEAGELOG_USER"):
        again.Artifact(frame(), key="t.parquet", run=False).save()
    assert store.log.head() == head


def test_a_kept_login_holds_for_later_processes_until_logout(store: Store, store_folder: Path) -> None:
    store.login("ada", name="Ada", keep=True)
    with Store.open(store_folder) as other:
        other.logout()
        assert other.user.handle == "anonymous"
        assert not list(other.events(topic="user.logged_out")), "the others are still logged in"
    with Store.open(store_folder) as later:
        assert later.user.handle == "ada"
        assert later.session.id == store.session.id, "it is one session"
        later.logout(keep=True)
    with Store.open(store_folder) as latest:
        assert latest.user.handle == "anonymous"
    (ended,) = store.events(topic="user.logged_out")
    assert ended.fact.session == store.session.id  # type: ignore[attr-defined]


def test_a_kept_login_from_another_copy_of_the_store_is_not_blamed_on_the_environment(
    store: Store, store_folder: Path
) -> None:
    location.keep_login(store.id, location.Login("ada", None))
    with Store.open(store_folder) as copy, pytest.raises(errors.UserNotFoundError, match="another copy") as caught:
        copy.ULabel("x").save()
    assert "LINEAGELOG_USER" not in str(caught.value)


def test_a_kept_login_of_a_user_the_store_does_not_know_can_be_ended(
    store: Store, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAGELOG_USER", "nobody")
    with Store.open(store_folder) as later:
        later.logout(keep=True)
        assert later.user.handle == "anonymous"


def test_a_handle_that_is_no_name_is_refused(refused: Refused) -> None:
    for handle in ("", "a b", "ada\n", "ada\x00", "../ada", "Ä" * 600, "anonymous"):
        refused(errors.InvalidValueError, lambda handle=handle: ln.login(handle, name="x"))  # type: ignore[misc]


def test_a_user_is_registered_once(store: Store, refused: Refused) -> None:
    store.User("ada", name="Ada").save()
    refused(errors.ConstraintError, lambda: store.User("ada").save(), "handle")
    assert store.User.filter(handle="ada").count() == 1


def test_two_processes_may_register_one_user_at_once(store: Store, store_folder: Path) -> None:
    with Store.open(store_folder) as other:
        store.login("ada", name="Ada")
        other.login("ada", name="Ada")
        assert other.user.id == store.user.id


def test_after_a_login_that_fails_the_user_from_before_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.login("ada", name="Ada")
    session = store.session.id

    def unreachable(*_: object, **options: object) -> None:
        raise errors.StoreUnavailableError("the database is away")

    monkeypatch.setattr(store.log, "append", unreachable)
    with pytest.raises(errors.StoreUnavailableError):
        store.login("grace", name="Grace")
    monkeypatch.undo()
    assert (store.user.handle, store.session.id) == ("ada", session)


def test_whoever_registers_a_handle_second_logs_in_as_the_first(
    store: Store, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(store_folder) as other:
        look_up = store.session._user

        def overtaken(handle: str) -> object:
            monkeypatch.undo()
            assert look_up(handle) is None
            other.login("grace", name="Grace")
            return None

        monkeypatch.setattr(store.session, "_user", overtaken)
        user = store.login("grace", name="Grace Hopper")
        assert user.id == other.user.id
    assert (user.name, store.User.filter(handle="grace").count()) == ("Grace Hopper", 1)


def test_a_log_in_over_a_log_in_ends_the_session_before_on_record(store: Store, store_folder: Path) -> None:
    def sessions() -> dict[str, bool]:
        rows = store.log.database.read(
            "SELECT u.handle, s.ended_at FROM sessions s JOIN users u ON u.id = s.user_id ORDER BY s.position"
        )
        return {handle: ended_at is not None for handle, ended_at in rows}

    ada = store.login("ada", name="Ada")
    store.login("bob", name="Bob")
    assert sessions() == {"ada": True, "bob": False}
    (ended,) = store.log.read(topic="user.logged_out.1")
    assert (ended.stream, ended.actor) == (ada.id, ada.id)
    # Other processes go on with a kept session when one process logs somebody else in, until another one is kept.
    store.login("cleo", name="Cleo", keep=True)
    with Store.open(store_folder) as other:
        other.login("dora", name="Dora")
        assert sessions() == {"ada": True, "bob": True, "cleo": False, "dora": False}
        other.login("eve", name="Eve", keep=True)
        assert sessions() == {"ada": True, "bob": True, "cleo": True, "dora": True, "eve": False}
        other.login("finn", name="Finn")
        assert not sessions()["eve"]
    store.logout()
    assert sum(1 for _ in store.log.read(topic="user.logged_out.1")) == 4, "none ends twice"


def test_a_login_that_cannot_be_kept_says_so_and_is_on_record(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    before = sqlite_store.log.head().position
    assert sqlite_store.login("ada", name="Ada", keep=True).handle == "ada"
    assert _topics(sqlite_store, before) == ["user.registered.1", "user.logged_in.1"]
    said = capsys.readouterr().err
    assert "cannot be kept" in said
    assert "LINEAGELOG_USER=ada" in said
