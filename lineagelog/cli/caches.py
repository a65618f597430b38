"""The command about local copies of remote content: cache."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from lineagelog.cli.app import Call, command
from lineagelog.domain.amount import n_bytes


class _Action(Enum):
    INFO = "info"
    CLEAR = "clear"


@command(
    "cache",
    examples=("prov cache", "prov cache info --json", "prov cache clear"),
    json="one object: `folder`, `limit_bytes`, `n_contents`, `size_bytes`, `n_in_use`; of clear: `folder`, `n_removed`, "
    "`removed_bytes`, `n_in_use`.",
)
def cache(
    call: Call,
    action: Annotated[
        _Action, typer.Argument(help="Print what is there, or remove what no running process uses.")
    ] = _Action.INFO,
) -> None:
    """Show or clear the local copies.

    Remote content is copied to this machine when it is first read. The copies are shared by all stores and processes of a user;
    nothing is lost with them.
    """
    from lineagelog.caching import content_cache

    copies = content_cache()
    if action is _Action.CLEAR:
        n_removed, removed_bytes = copies.clear()
        info = copies.info()
        if call.out.json:
            call.out.object(
                {
                    "folder": str(info.folder),
                    "n_removed": n_removed,
                    "removed_bytes": removed_bytes,
                    "n_in_use": info.n_in_use,
                }
            )
            return
        kept = f"; {info.n_in_use:,} that running processes use stay" if info.n_in_use else ""
        call.out.say(f"removed {n_removed:,} copies ({n_bytes(removed_bytes)}) from {info.folder}{kept}")
        return
    info = copies.info()
    if call.out.json:
        call.out.object({**info._asdict(), "folder": str(info.folder)})
        return
    call.out.fields(
        {
            "folder": str(info.folder),
            "contents": f"{info.n_contents:,}",
            "size": f"{n_bytes(info.size_bytes)} of {n_bytes(info.limit_bytes)}",
            "in use": f"{info.n_in_use:,}",
        }
    )
