"""Commands about stores and who works on them: init, connect, list, delete, login, logout, whoami, info."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lineagelog.cli.app import Call, command
from lineagelog.domain.amount import n_bytes

_Address = Annotated[str, typer.Argument(metavar="PATH|URL|NAME", help="The store.")]


@command(
    "init",
    examples=("prov init --storage ./mydata", "prov init --storage ./iris --name iris --json"),
    json="one object: `name`, `uid`, `id`, `location`, `storage`, and `pointer`, the file that leads here from the working "
    "directory, or null.",
)
def init(
    call: Call,
    storage: Annotated[
        str,
        typer.Option(metavar="FOLDER|URL", help="Where artifacts go: a folder, which is made, or s3://bucket/prefix."),
    ],
    db: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://… for a team; a SQLite file in the store's folder by default."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the store; that of the folder by default.")] = None,
    modules: Annotated[str | None, typer.Option(metavar="A,B", help="Registries beyond the core, by comma.")] = None,
) -> None:
    """Create a store.

    What is started in the working directory, or below it, finds the store by itself.
    """
    from lineagelog import api, location

    created = api.init(storage, name=name, db=db, modules=[part for part in (modules or "").split(",") if part])
    try:
        pointer, unwritten = None, None
        try:
            pointer = location.point_to(created.folder, Path.cwd()) if created.folder is not None else None
        except OSError as exc:
            # The store is there, only not found from here.
            unwritten = exc.strerror
        root = created.overview().storage
        if call.out.json:
            call.out.object(
                {
                    "name": created.name,
                    "uid": created.uid,
                    "id": created.id,
                    "location": str(created.folder),
                    "storage": root,
                    "pointer": pointer and str(pointer),
                }
            )
            return
        call.out.say(f"created the store {created.name} ({created.uid}) in {created.folder}; artifacts go to {root}")
        if pointer is not None:
            call.out.say(f"wrote {pointer}: scripts started in this folder or below it use the store")
        elif unwritten is not None:
            call.out.say(
                f"nothing can be written to this folder ({unwritten}), so that scripts started here do not find the store: start "
                f"them in its folder, or set LINEAGELOG_STORE={created.folder}"
            )
        elif created.folder != Path.cwd():
            call.out.say(
                "this folder holds another store, which scripts started here use; to use the new one, go to its folder"
            )
    finally:
        api.close()


@command(
    "connect",
    examples=("prov connect ./mydata",),
    json="one object: `name`, `uid`, `id`, `location`.",
)
def connect(call: Call, address: _Address) -> None:
    """Use a store that exists, in this folder.

    Scripts and commands started in this folder, or below it, use the store from now on: a file `.lineagelog` points to it.
    """
    from lineagelog import api

    opened = api.connect(address, keep=True)
    try:
        where = str(opened.folder or opened.log.database.name)
        if call.out.json:
            call.out.object({"name": opened.name, "uid": opened.uid, "id": opened.id, "location": where})
        else:
            call.out.say(
                f"scripts started in {Path.cwd()} or below it use the store {opened.name} ({opened.uid}) in {where}"
            )
    finally:
        api.close()


@command("list", examples=("prov list", "prov list --json"), json="one object a line: `name`, `id`, `location`.")
def list_(call: Call) -> None:
    """List the stores you have used."""
    from lineagelog import api

    stores = api.list_stores()
    if call.out.json:
        call.out.objects(stores)
    elif not call.out.table(
        ("name", "location", "id"),
        [(one["name"], one["location"], one["id"]) for one in stores],
        whole=("location", "id"),
    ):
        call.out.say("no stores yet; create one with `prov init --storage ./mydata`")


@command(
    "delete",
    examples=("prov delete ./mydata", "prov delete ./mydata --force"),
    json="one object: `deleted` (the address) and `left` (what stays, in words).",
)
def delete(
    call: Call,
    address: _Address,
    force: Annotated[bool, typer.Option("--force", help="Really delete; without it nothing happens.")] = False,
) -> None:
    """Delete a store.

    Its log and registries go for good, the content of its artifacts stays. Without --force nothing is deleted, and the
    error says what would be.
    """
    from lineagelog import api

    left = api.delete(address, force=force)
    if call.out.json:
        call.out.object({"deleted": address, "left": left})
    else:
        call.out.say(f"deleted the store {address}; left as it is: {left}")


@command(
    "login",
    examples=('prov login HANDLE --name "Ana Nowak" --email ana@example.org', "prov login HANDLE"),
    json="one object: `handle`, `name`, `email`, `uid`.",
    changes=True,
)
def login(
    call: Call,
    handle: Annotated[str, typer.Argument(help="Handle: letters, digits, '.', '_' and '-'.")],
    name: Annotated[
        str | None, typer.Option(help="Name; registers a new handle, or changes the name of a known one.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Address; likewise.")] = None,
) -> None:
    """Log in.

    What you record from now on, from any process, is on record as yours.
    """
    with call.store() as store:
        user = store.login(handle, name=name, email=email, keep=True)
        if call.out.json:
            call.out.object({"handle": user.handle, "name": user.name, "email": user.email, "uid": user.uid})
            return
        call.out.say(f"logged in to {store.name} as {user.handle}")
        declared = os.environ.get("LINEAGELOG_USER")
        if declared and declared != user.handle:
            call.out.say(f"note: LINEAGELOG_USER={declared} is set and goes before this log-in; unset it")


@command("logout", examples=("prov logout",), json="one object: `handle`, now `anonymous`.")
def logout(call: Call) -> None:
    """Log out; what follows is recorded as anonymous."""
    with call.store() as store:
        store.logout(keep=True)
        handle = store.user.handle
        if call.out.json:
            call.out.object({"handle": handle})
        else:
            call.out.say(f"logged out of {store.name}; what follows is recorded as {handle}")


@command("whoami", examples=("prov whoami",), json="one object: `handle`, `name`, `email`, `uid`.")
def whoami(call: Call) -> None:
    """Print the handle you record under."""
    with call.store() as store:
        user = store.user
        if call.out.json:
            call.out.object({"handle": user.handle, "name": user.name, "email": user.email, "uid": user.uid})
        else:
            call.out.line(user.handle)


@command(
    "info",
    examples=("prov info", "prov info --as-of 8", "prov info --json"),
    as_of=True,
    json="one object: `name`, `uid`, `id`, `location`, `database`, `address`, `read_only`, `user`, `storage`, `counts` (by "
    "registry), `position`, `root`, `database_bytes`, `content_bytes`, `created_at`, `software`.",
)
def info(call: Call) -> None:
    """Say what the store is, and what it holds."""
    with call.store() as store:
        found = store.overview()
    if call.out.json:
        call.out.object(asdict(found))
        return
    read_only = ", read-only" if found.read_only else ""
    call.out.fields(
        {
            "store": f"{found.name} ({found.uid})",
            "location": found.location,
            "database": f"{found.database}{read_only}, {n_bytes(found.database_bytes)}: {found.address}",
            "storage": found.storage,
            "you": found.user,
            "holds": ", ".join(f"{count:,} {name}" for name, count in found.counts.items()),
            "content": n_bytes(found.content_bytes),
            "log": f"{found.position:,} events since {(found.created_at or '?')[:10]}",
            "tree root": found.root,
        }
    )
