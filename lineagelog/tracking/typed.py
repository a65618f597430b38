"""From `track()` to the end of a run at a prompt: what was typed is its source."""

from __future__ import annotations

from typing import Final

from lineagelog import message
from lineagelog.adapters.prompt import Prompt
from lineagelog.adapters.script import RunningCode
from lineagelog.domain.errors import LineageLogError
from lineagelog.domain.event import Change, Event
from lineagelog.domain.ids import TRANSFORM_STEM_LENGTH
from lineagelog.domain.run import RunUpdated, check_open
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict
from lineagelog.registries.run import Run
from lineagelog.registries.transform import Transform

_DESCRIPTION: Final = "Lines typed at a prompt"


class FollowedPrompt:
    """The prompt at which a run was started. Until it ends nobody knows its source."""

    def __init__(self, code: RunningCode) -> None:
        self._prompt = Prompt()
        if self._prompt.is_kept:
            message.info(f"what is typed at the prompt of {code.key} is kept as the source when the run ends")
        else:
            message.warn(f"nothing keeps what is typed at the prompt of {code.key}: the run has no source")

    def leave(self, run: Run) -> None:
        """Make the run, which is about to end, one of what was typed; a run that cannot be is ended all the same."""
        source = self._prompt.typed()
        if source is None:
            return
        try:
            before = run.transform
            now: Transform = run.store.Transform(
                before.key, type=before.type, description=_DESCRIPTION, uid=before.uid[:TRANSFORM_STEM_LENGTH]
            )
            now._source = source.encode(errors="replace")
            now.save()

            def decide(row: RowDict) -> list[Event]:
                check_open(row["uid"], row["status"])
                return [RunUpdated(changes={"transform_id": Change(old=row["transform_id"], new=now.id)})]

            run.store.append_all_next(schema.RUNS, run.id, decide, run=run.id)
        except LineageLogError as exc:
            message.warn(f"what was typed could not be kept as the source of the run: {exc}")
