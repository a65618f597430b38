"""The command about what is kept in the cache folder: cache."""

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
    json="one object: `folder`, `limit_bytes`, `n_contents`, `size_bytes`, `n_in_use`, `n_indexes`, `index_bytes`; of clear: "
    "`folder`, `n_removed`, `removed_bytes`, `n_in_use`, `n_indexes_removed`, `index_bytes_removed`.",
)
def cache(
    call: Call,
    action: Annotated[
        _Action, typer.Argument(help="Print what is there, or remove what no running process uses.")
    ] = _Action.INFO,
) -> None:
    """Show or clear the local copies, and the indexes for SPARQL.

    Remote content is copied to this machine when it is first read, and `prov query` keeps an index of each store that was asked.
    They are shared by all processes of a user; nothing is lost with them.
    """
    from lineagelog.asking import index_folder
    from lineagelog.content.caching import content_cache
    from lineagelog.exporters.sparql.index import clear_indexes, kept_indexes

    copies = content_cache()
    if action is _Action.CLEAR:
        n_removed, removed_bytes = copies.clear()
        n_indexes, index_bytes = clear_indexes(index_folder())
        info = copies.info()
        if call.out.json:
            call.out.object(
                {
                    "folder": str(info.folder),
                    "n_removed": n_removed,
                    "removed_bytes": removed_bytes,
                    "n_in_use": info.n_in_use,
                    "n_indexes_removed": n_indexes,
                    "index_bytes_removed": index_bytes,
                }
            )
            return
        kept = f"; {info.n_in_use:,} that running processes use stay" if info.n_in_use else ""
        call.out.say(f"removed {n_removed:,} copies ({n_bytes(removed_bytes)}) from {info.folder}{kept}")
        if n_indexes:
            call.out.say(f"removed {n_indexes:,} indexes for SPARQL ({n_bytes(index_bytes)})")
        return
    info, indexes = copies.info(), kept_indexes(index_folder())
    index_bytes = sum(index.size_bytes for index in indexes)
    if call.out.json:
        kept_too = {"n_indexes": len(indexes), "index_bytes": index_bytes}
        call.out.object({**info._asdict(), "folder": str(info.folder), **kept_too})
        return
    call.out.fields(
        {
            "folder": str(info.folder),
            "contents": f"{info.n_contents:,}",
            "size": f"{n_bytes(info.size_bytes)} of {n_bytes(info.limit_bytes)}",
            "in use": f"{info.n_in_use:,}",
            "indexes for SPARQL": f"{len(indexes):,}, {n_bytes(index_bytes)}",
        }
    )
