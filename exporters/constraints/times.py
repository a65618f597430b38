"""Times that contradict the order of events: remarks, no violations.

The recommendation orders events and not times, for clocks differ and times are rounded (PROV-CONSTRAINTS 6.2). A time that is
later than that of an event which follows is worth a look all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from lineagelog.exporters.constraints.normal_form import Instance
from lineagelog.exporters.constraints.ordering import (
    END,
    GENERATION,
    INVALIDATION,
    START,
    USAGE,
    Events,
    describe_event,
)
from lineagelog.exporters.constraints.terms import Term, canonical_time, is_moment

_TIMES: Final = {
    "wasGeneratedBy": ((GENERATION, 2),),
    "wasInvalidatedBy": ((INVALIDATION, 2),),
    "used": ((USAGE, 2),),
    "wasStartedBy": ((START, 3),),
    "wasEndedBy": ((END, 3),),
    "activity": ((START, 0), (END, 1)),
}
"""Events that each kind of statement has a time for, with its place."""


def compare_times(instance: Instance, events: Events) -> Iterator[str]:
    """Find events that precede another one and are later by the clock.

    Times with a zone are compared with each other, and so are those without.
    """
    times = _times(instance)
    keys = list(events.nodes)
    for step in events.steps:
        before, after = times.get(keys[step.source]), times.get(keys[step.target])
        if before is None or after is None:
            continue
        for zoned in (True, False):
            late = max((time for time in before if time.endswith("Z") == zoned), key=_sortable, default=None)
            early = min((time for time in after if time.endswith("Z") == zoned), key=_sortable, default=None)
            if late is not None and early is not None and _sortable(late) > _sortable(early):
                one = describe_event(instance, *keys[step.source], step)
                two = describe_event(instance, *keys[step.target], step)
                yield f"{one} ({late}) is later than {two} ({early}), which it precedes by constraint {step.rule}"


def _times(instance: Instance) -> dict[tuple[str, Term], set[str]]:
    find = instance.terms.find
    times: defaultdict[tuple[str, Term], set[str]] = defaultdict(set)
    for kind, places in _TIMES.items():
        for fact in instance.facts[kind]:
            for sort, place in places:
                time = instance.terms.name(fact.args[place])
                if time is not None and is_moment(time):
                    subject = fact.id if kind in ("activity", "used") else fact.args[0]
                    times[sort, find(subject)].add(canonical_time(time))
    return times


def _sortable(time: str) -> str:
    # Without the zone a fraction sorts after the whole second.
    return time.removesuffix("Z")
