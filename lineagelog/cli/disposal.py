"""Commands about the end of artifacts: trash, restore, remove."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lineagelog.cli.app import Call, command
from lineagelog.domain.errors import DomainError

if TYPE_CHECKING:
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.store import Store

_Uids = Annotated[list[str], typer.Argument(metavar="UID…", help="Uids of artifacts, or their beginnings.")]
_Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept with the event.")]


@command(
    "trash",
    examples=("prov trash UID", 'prov trash UID --reason "wrong calibration" --json'),
    json="one object: `trashed`, a list of uids.",
)
def trash(call: Call, uids: _Uids, reason: _Reason = None) -> None:
    """Put artifacts into the trash.

    They are hidden from listings and queries, nothing else: `prov artifacts --where state=trashed` lists them, `prov restore` takes
    them out, `prov remove` deletes them for good.
    """
    with call.store() as store:
        found = _find(store, uids)
        named = found.to_list("uid")
        found.delete(reason=reason)
        if call.out.json:
            call.out.object({"trashed": named})
        else:
            call.out.say(f"put into the trash: {', '.join(named)}; take out again with `prov restore`")


@command(
    "restore",
    examples=("prov restore UID", "prov restore UID --json"),
    json="one object: `restored`, a list of uids.",
)
def restore(call: Call, uids: _Uids, reason: _Reason = None) -> None:
    """Take artifacts out of the trash."""
    with call.store() as store:
        found = _find(store, uids)
        named = found.to_list("uid")
        found.restore(reason=reason)
        if call.out.json:
            call.out.object({"restored": named})
        else:
            call.out.say(f"restored: {', '.join(named)}")


@command(
    "remove",
    examples=(
        'prov remove UID --reason "holds personal data" --yes',
        'prov remove UID --reason "too large" --yes --json',
    ),
    json="one object: `removed`, a list of uids.",
)
def remove(
    call: Call,
    uids: _Uids,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; told to whoever tries to use them later.")],
    storage: Annotated[
        bool, typer.Option("--storage", help="Also remove content that was registered where it lies, which is yours.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete artifacts for good, with their content.

    They cannot be used any more and do not come back. What is recorded about them stays: their history, their place in the lineage,
    who deleted them, when and why.
    """
    with call.store() as store:
        found = _find(store, uids)
        named = found.to_list("uid")
        if not yes:
            _confirm(f"Delete {', '.join(named)} for good")
        found.delete(permanent=True, storage=True if storage else None, reason=reason)
        if call.out.json:
            call.out.object({"removed": named})
        else:
            call.out.say(f"deleted for good: {', '.join(named)}; what is recorded about them stays")


def _find(store: Store, uids: list[str]) -> QuerySet[Artifact]:
    """Find artifacts, whatever their state."""
    from lineagelog.registries.finding import find_record

    ids = [find_record(store, uid, ("Artifact",)).id for uid in uids]
    return store.Artifact.filter(id__in=ids).all_states()


def _confirm(question: str) -> None:
    """Ask a person; where there is none, nothing is done.

    Raises:
        DomainError: The answer is no, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise DomainError(
            "nothing was deleted: what is deleted for good does not come back; pass --yes if that is meant"
        )
    if not typer.confirm(f"{question}? It does not come back", err=True):
        raise DomainError("nothing was deleted")
