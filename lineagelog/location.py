"""Where stores are: the folder of one, the pointer to it, the list of those this user has used, who is logged in.

A store's folder holds `.lineagelog/` with `config.json`, the SQLite database if there is no server, and the stored content. Another
folder may hold a file `.lineagelog` that points to it. Both are looked for upward from the working directory, as git does.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from lineagelog.domain.errors import StoreExistsError, StoreNotFoundError, StoreUnavailableError

FOLDER: Final = ".lineagelog"
DATABASE: Final = "store.db"
OBJECTS: Final = "objects"
CHECKPOINTS: Final = "checkpoints"
_CONFIG: Final = "config.json"
_SECRETS: Final = "secrets.json"
_POINTER_PREFIX: Final = "store: "
_SECRET_BYTES: Final = 32


class Config(NamedTuple):
    """What is written beside a store.

    Attributes:
        id: Id of the store.
        name: Its name.
        database: URL of a server's database without password, or `None` for the SQLite file in the same folder.
        checkpoints: Second place of its checkpoints, outside the store; `None` if none was named.
    """

    id: str
    name: str
    database: str | None
    checkpoints: str | None = None


def home(folder: Path) -> Path:
    """Name the folder inside a store's folder that belongs to the store."""
    return folder / FOLDER


def objects_of(store_uid: str) -> str:
    """Name the folder, relative to a storage root, of the content that a store has put there.

    Several stores may share a storage location. Each has a folder of its own there, so that what belongs to none of its artifacts
    is not taken for an orphan while it belongs to another store's.
    """
    return f"{FOLDER}/{OBJECTS}/{store_uid}"


def object_path(store_uid: str, record_id: str, suffix: str) -> str:
    """Return where a store puts the content of an artifact: a path under the storage root that no name of a user enters."""
    return f"{objects_of(store_uid)}/{record_id}{suffix}"


def write_config(target: Path, config: Config, password: str | None) -> None:
    """Write the configuration into a store's own folder; the password lies apart, readable by the owner only."""
    if password is not None:
        write_json(target / _SECRETS, {"database_password": password})
    (target / ".gitignore").write_text("*\n")
    write_json(target / _CONFIG, config._asdict())


def read_config(folder: Path) -> tuple[Config, str | None]:
    """Read the configuration of the store in a folder.

    Returns:
        The configuration, and the address of a server's database with its password.

    Raises:
        StoreNotFoundError: There is no store in this folder.
    """
    path = home(folder) / _CONFIG
    try:
        data = json.loads(path.read_text())
        config = Config(data["id"], data["name"], data["database"], data.get("checkpoints"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(
            f"there is no store in {folder}; create one with `prov init --storage {folder}`"
        ) from None
    except OSError as exc:
        raise StoreUnavailableError(f"{path} cannot be read: {exc.strerror}; check its permissions") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreUnavailableError(f"{path} cannot be read ({exc}); restore it from a backup") from exc
    if config.database is None:
        return config, None
    secrets = home(folder) / _SECRETS
    password = json.loads(secrets.read_text())["database_password"] if secrets.exists() else None
    return config, with_password(config.database, password)


def keep_checkpoints_at(folder: Path, place: str) -> None:
    """Write the second place of a store's checkpoints into its configuration."""
    config, _ = read_config(folder)
    write_json(home(folder) / _CONFIG, config._replace(checkpoints=place)._asdict())


def signing_key_path(store_uid: str, fingerprint: str) -> Path:
    """Name the file of a key of this user that signs checkpoints of a store; it lies in no store's folder."""
    return _state_folder() / "keys" / f"{store_uid}-{fingerprint}.key"


def signing_key_paths(store_uid: str) -> list[Path]:
    """List the files of this user's keys that sign checkpoints of a store, or were made to."""
    return sorted((_state_folder() / "keys").glob(f"{store_uid}-*.key"))


def write_signing_key(path: Path, text: str) -> None:
    """Write a private key whole, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, text)


def view_secret() -> bytes:
    """Read the secret that seals the views of the past that this user keeps, or make it; it lies outside of all caches."""
    path = _state_folder() / "views.key"
    with suppress(OSError):
        secret = _read_secret(path)
        if secret is None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text(path, secrets.token_hex(_SECRET_BYTES))
            # Another process may have been the last to write.
            secret = _read_secret(path)
        if secret is not None:
            return secret
    return _secret_of_process()


def _read_secret(path: Path) -> bytes | None:
    try:
        secret = bytes.fromhex(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return secret if len(secret) == _SECRET_BYTES else None


@cache
def _secret_of_process() -> bytes:
    """Make a secret that lasts as long as the process, where none can be kept."""
    return secrets.token_bytes(_SECRET_BYTES)


def has_store(folder: Path) -> bool:
    """Tell whether a folder holds a store.

    Raises:
        StoreUnavailableError: It must not be looked into.
    """
    path = home(folder) / _CONFIG
    try:
        return path.is_file()
    except PermissionError as exc:
        raise StoreUnavailableError(f"{path} cannot be read: {exc.strerror}; check its permissions") from exc


def discover(start: Path | None = None) -> Path | None:
    """Find the folder of the nearest store, upward from a folder, by default the working directory; pointers are followed.

    Raises:
        StoreNotFoundError: The working directory was removed, or a pointer leads nowhere.
    """
    try:
        start = start or Path.cwd()
    except FileNotFoundError as exc:
        raise StoreNotFoundError(
            "the working directory was removed; go to another one, or name a store with LINEAGELOG_STORE"
        ) from exc
    for folder in (start, *start.parents):
        candidate = folder / FOLDER
        if has_store(folder):
            return folder
        if candidate.is_file():
            return _follow(candidate)
    return None


def point_to(folder: Path, start: Path) -> Path | None:
    """Make `start` point to the store in a folder, unless it is the store's own folder or holds another store.

    Returns:
        The file that was written, or `None`.
    """
    pointer = start / FOLDER
    if start == folder or pointer.is_dir():
        return None
    target = os.path.relpath(folder, start)
    pointer.write_text(f"{_POINTER_PREFIX}{target}\n")
    return pointer


def attach(start: Path, config: Config, password: str | None) -> Path:
    """Make `start` a folder of a store whose database is on a server, so that work in it finds the store.

    Returns:
        The folder that was made in it, or that was there already.

    Raises:
        StoreExistsError: The folder holds another store.
    """
    target = home(start)
    if has_store(start):
        existing, _ = read_config(start)
        if existing.id != config.id:
            raise StoreExistsError(
                f"{start} holds another store ({existing.name}); work on this one from another folder"
            )
        return target
    target.unlink(missing_ok=True)
    target.mkdir()
    write_config(target, config, password)
    return target


def forget_pointer(folder: Path, start: Path) -> None:
    """Remove the file in `start` that points to a store's folder, if there is one."""
    pointer = start / FOLDER
    if pointer.is_file() and (start / pointer.read_text().strip().removeprefix(_POINTER_PREFIX)).resolve() == folder:
        pointer.unlink()


def known_stores() -> list[dict[str, str]]:
    """List the stores this user has created or connected to: `name`, `id` and `location` of each."""
    return [entry for entry in _read_state("stores.json").values() if isinstance(entry, dict)]


def address_of(named: str) -> str:
    """Return where a store is that is meant by the name or id it had when it was used before; paths and URLs stay as they are.

    Raises:
        StoreNotFoundError: There is no such path, and no or several known stores have this name.
    """
    if not named or "://" in named or "/" in named or "\0" in named or os.path.isdir(named):  # noqa: PTH112 - a text, not yet a path
        return named
    matching = [entry for entry in known_stores() if named in (entry["name"], entry["id"])]
    if not matching:
        raise StoreNotFoundError(
            f"there is no such path or store name as {named!r}; see `prov list`, or create a store with `prov init`"
        )
    if len(matching) > 1:
        places = ", ".join(f"{entry['location']} ({entry['id']})" for entry in matching)
        raise StoreNotFoundError(
            f"{len(matching)} stores are called {named}: {places}; name the one you mean by its path or id"
        )
    return matching[0]["location"]


def remember_store(store_id: str, name: str, location: str) -> None:
    """Add a store to the list, if the user's configuration folder can be written."""
    entry = {"name": name, "id": store_id, "location": location}
    if _read_state("stores.json").get(store_id) != entry:
        _change_state("stores.json", store_id, entry)


def forget_store(store_id: str) -> None:
    """Take a store off the list."""
    if store_id in _read_state("stores.json"):
        _change_state("stores.json", store_id, None)


class Login(NamedTuple):
    """Who is logged in to a store.

    Attributes:
        handle: Handle of the user.
        session: Id of the session that `prov login` began, `None` for the user of `LINEAGELOG_USER`.
    """

    handle: str
    session: str | None


def kept_login(store_id: str) -> Login | None:
    """Read who is logged in to a store: the user of `LINEAGELOG_USER`, else of the last `prov login`."""
    handle = os.environ.get("LINEAGELOG_USER")
    if handle:
        return Login(handle, None)
    return _kept(store_id)


def kept_session(store_id: str) -> str | None:
    """Read the id of the session that the last `prov login` began, whoever `LINEAGELOG_USER` is."""
    kept = _kept(store_id)
    return kept.session if kept is not None else None


def _kept(store_id: str) -> Login | None:
    kept = _read_state("logins.json").get(store_id)
    return Login(str(kept["handle"]), kept["session"]) if isinstance(kept, dict) else None


def keep_login(store_id: str, login: Login | None) -> str | None:
    """Keep a log-in for later processes of this operating system user; `None` ends it.

    Returns:
        Why that was not possible, if it was not.
    """
    return _change_state("logins.json", store_id, login._asdict() if login is not None else None)


def without_password(url: str) -> tuple[str, str | None]:
    """Split the password off a database URL, whether it stands before the host or among the parameters."""
    parts = urlsplit(url)
    parameters = [pair for pair in parts.query.split("&") if pair]
    given = [pair.partition("=")[2] for pair in parameters if pair.partition("=")[0] == "password"]
    rest = "&".join(pair for pair in parameters if pair.partition("=")[0] != "password")
    user, at, host = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    found = password if colon else given[-1] if given else None
    return urlunsplit(parts._replace(netloc=f"{name}{at}{host}", query=rest)), found


def with_password(url: str, password: str | None) -> str:
    """Put a password back into a database URL; it is escaped as it was when it was split off."""
    if password is None:
        return url
    parts = urlsplit(url)
    query = f"{parts.query}&password={password}" if parts.query else f"password={password}"
    return urlunsplit(parts._replace(query=query))


def write_json(path: Path, data: Any) -> None:
    """Write a file of JSON as `write_text` does."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by the owner only."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _follow(pointer: Path) -> Path:
    text = pointer.read_text().strip()
    target = (pointer.parent / text.removeprefix(_POINTER_PREFIX)).resolve()
    if not text.startswith(_POINTER_PREFIX) or not has_store(target):
        raise StoreNotFoundError(
            f"{pointer} points to a store that is not there ({text}); choose another with `prov connect PATH`, "
            "or remove the file"
        )
    return target


def _state_folder() -> Path:
    """Name the folder of what is this user's and no store's.

    Raises:
        StoreUnavailableError: The user has no home, as in a container that runs under the number of nobody.
    """
    base = os.environ.get("XDG_CONFIG_HOME")
    try:
        return (Path(base) if base else Path.home() / ".config") / "lineagelog"
    except RuntimeError as exc:
        raise StoreUnavailableError(
            "this account has no home folder for keys and log-ins; set XDG_CONFIG_HOME to a folder it can write"
        ) from exc


def _read_state(name: str) -> dict[str, Any]:
    try:
        data = json.loads((_state_folder() / name).read_text())
    except (OSError, ValueError, StoreUnavailableError):
        return {}
    return data if isinstance(data, dict) else {}


def _change_state(name: str, key: str, value: Any) -> str | None:
    """Set one entry, or remove it with `None`; of several processes that do so at once none loses another's entry.

    Returns:
        Why that was not possible, if it was not: a home that is not there or cannot be written must not stop work on a store.
    """
    try:
        folder = _state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = _read_state(name)
            entries.pop(key, None)
            write_json(folder / name, entries if value is None else {**entries, key: value})
    except OSError as exc:
        return f"{folder}: {exc.strerror}"
    except StoreUnavailableError as exc:
        return str(exc)
    return None
