"""Runs and sessions as PROV: activities, who was responsible for them, and what they used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Lists, Names, Texts
from lineagelog.exporters.mapping.rows import Columns, Groups, event_names, moments, names, rows_of, unless
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import (
    Activity,
    Association,
    Communication,
    Delegation,
    Name,
    Usage,
)


class RunMapper:
    """Reads runs and sessions.

    Args:
        source: The records to export.
        omitted: How many derivations are not written, by the id of the run.
    """

    def __init__(self, source: Source, omitted: Mapping[str, int]) -> None:
        self._source = source
        self._ids = source.ids("runs")
        self._omitted = omitted

    def activities(self) -> Iterator[Block]:
        """Hand out an activity for each run."""
        # All streams are ordered by the run, so that what a run saw again and its projects join it on the way.
        holding = self._source.holding("artifacts", 1)
        seen_rows, project_rows = (rows_of(self._source.reader, sql, self._ids) for sql in (_SEEN, _PROJECTS_OF_RUNS))
        seen, projects = Groups(filter(holding, seen_rows) if holding else seen_rows), Groups(project_rows)
        for columns in self._columns(_RUNS):
            (
                id_, uid, name, status, started_at, finished_at, params, redacted, reference, reference_type, environment,
                git_commit, git_dirty, git_remote, git_branch, git_path, command, host, container, error_type, error_message,
                is_consecutive, stale_cells, unrun_cells, imports,
            ) = columns  # fmt: skip
            attributes = (
                (v.TYPE, v.RUN),
                (v.LABEL, Texts(name)),
                (v.STATUS, Texts(status)),
                (v.PARAMS, Texts(unless("{}", params))),
                (v.REDACTED, Texts(unless("[]", redacted))),
                (v.REFERENCE, Texts(reference)),
                (v.REFERENCE_TYPE, Texts(reference_type)),
                (v.IN_ENVIRONMENT, names("environment", environment)),
                (v.GIT_COMMIT, Texts(git_commit)),
                (v.GIT_DIRTY, _booleans(git_dirty)),
                (v.GIT_REMOTE, Texts(git_remote)),
                (v.GIT_BRANCH, Texts(git_branch)),
                (v.GIT_PATH, Texts(git_path)),
                (v.COMMAND, Texts(unless("[]", command))),
                (v.HOST, Texts(host)),
                (v.CONTAINER, Texts(container)),
                (v.ERROR_TYPE, Texts(error_type)),
                (v.ERROR_MESSAGE, Texts(error_message)),
                (v.IS_CONSECUTIVE, _booleans(is_consecutive)),
                (v.STALE_CELLS, Texts(unless("[]", stale_cells))),
                (v.UNRUN_CELLS, Texts(unless("[]", unrun_cells))),
                (v.IMPORTS, Texts(imports)),
                (v.DERIVATIONS_OMITTED, Column([self._omitted.get(run) for run in id_])),
                (v.SAW_AGAIN, Lists([_named("artifact", [uid for _, uid in seen.take(run)]) for run in id_])),
                (v.IN_PROJECT, Lists([_named("project", [uid for (uid,) in projects.take(run)]) for run in id_])),
            )
            yield Block(Activity, names("run", uid), (moments(started_at), moments(finished_at)), attributes)

    def communications(self) -> Iterator[Block]:
        """Hand out which run started which."""
        for runs, _, initiators in self._columns(_COMMUNICATIONS, keep=self._source.holding("runs", 1)):
            yield Block(Communication, None, (names("run", runs), names("run", initiators)))

    def associations(self) -> Iterator[Block]:
        """Hand out who or what ran each run, following which plan."""
        users = self._source.users
        for columns in self._columns(_RESPONSIBILITIES):
            parts: list[tuple[str, str, Name | None, str, Name | None]] = []
            for run_uid, transform, user_id, environment in zip(*columns, strict=True):
                run, user = v.local_name(run_uid), users.get(user_id)
                # A run of which neither is known still followed its plan.
                if user is not None or environment is None:
                    agent, role = (None, None) if user is None else (Name(f"user:{user}"), v.OPERATOR)
                    parts.append((f"{run}-operator", run, agent, transform, role))
                if environment is not None:
                    software = v.name("software", environment)
                    parts.append((f"{run}-interpreter", run, software, transform, v.INTERPRETER))
            ids, runs, agents, transforms, roles = zip(*parts, strict=True)
            formal = Names(runs, "run"), Column(agents), names("transform", transforms)
            yield Block(Association, Names(ids, "association"), formal, ((v.ROLE, Column(roles)),))

    def delegations(self) -> Iterator[Block]:
        """Hand out on whose behalf each interpreter acted."""
        users = self._source.users
        responsible = self._columns(_RESPONSIBILITIES, keep=lambda row: row[2] in users and row[3] is not None)
        for runs, _, user_ids, environments in responsible:
            formal = names("software", environments), self._source.user_names(user_ids), names("run", runs)
            yield Block(Delegation, names("delegation", runs), formal)

    def usages(self) -> Iterator[Block]:
        """Hand out what each run read, and when."""
        used = self._columns(_USAGES, keep=self._source.holding("artifacts", 2))
        for positions, runs, _, artifacts, at, roles, how in used:
            # A role is named by an IRI; the text of one that only this store knows stands beside it.
            own = [None if role in v.KNOWN_ROLES else role for role in roles]
            attributes = (
                (v.ROLE, Column(list(map(v.role, roles)))),
                (v.ROLE_TEXT, Texts(own)),
                (v.HOW, Texts(unless("", how))),
            )
            formal = names("run", runs), names("artifact", artifacts), moments(at)
            yield Block(Usage, event_names("usage", positions), formal, attributes)

    def sessions(self) -> Iterator[Block]:
        """Hand out an activity for each session, of the whole store only."""
        for ids, _, started_at, ended_at in self._sessions():
            times = moments(started_at), moments(ended_at)
            yield Block(Activity, names("session", ids), times, ((v.TYPE, v.SESSION),))

    def session_associations(self) -> Iterator[Block]:
        """Hand out whose session it was."""
        users = self._source.users
        for ids, user_ids, *_ in self._sessions(keep=lambda row: row[1] in users):
            formal = names("session", ids), self._source.user_names(user_ids), None
            yield Block(Association, names("association", ids), formal)

    def _columns(self, sql: str, **options: Any) -> Iterator[Columns]:
        return self._source.columns(sql, self._ids, **options)

    def _sessions(self, **options: Any) -> Iterator[Columns]:
        return (
            iter(()) if self._source.part is not None else self._source.columns(_SESSIONS, self._source.only, **options)
        )


def _booleans(values: tuple[int | None, ...]) -> Column:
    return Column([None if value is None else bool(value) for value in values])


def _named(prefix: str, uids: list[str]) -> tuple[Name, ...]:
    return tuple(v.name(prefix, uid) for uid in uids)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_SESSIONS: Final = (
    "SELECT t.id, t.user_id, t.started_at, t.ended_at FROM sessions t WHERE t.id {these} ORDER BY t.position"
)
_RUNS: Final = """
    SELECT t.id, t.uid, t.name, t.status, t.started_at, t.finished_at, t.params, t.redacted, t.reference, t.reference_type,
        t.environment_id, t.git_commit, t.git_dirty, t.git_remote, t.git_branch, t.git_path, t.command, t.host, t.container,
        t.error_type, t.error_message, t.is_consecutive, t.stale_cells, t.unrun_cells, t.imports
    FROM runs t WHERE t.id {these} ORDER BY t.position"""
_SEEN: Final = """
    SELECT t.id, a.id, a.uid
    FROM runs t JOIN edges s ON s.run_id = t.id AND s.kind = 'seen' JOIN artifacts a ON a.id = s.artifact_id
    WHERE t.id {these} ORDER BY t.position, s.position"""
_PROJECTS_OF_RUNS: Final = """
    SELECT t.id, p.uid
    FROM runs t JOIN links l ON l.source_id = t.id AND l.kind = 'project' JOIN projects p ON p.id = l.target_id
    WHERE t.id {these} ORDER BY t.position, l.position"""
_USAGES: Final = """
    SELECT t.position, r.uid, a.id, a.uid, t.at, t.role, t.how
    FROM edges t JOIN runs r ON r.id = t.run_id JOIN artifacts a ON a.id = t.artifact_id
    WHERE t.kind = 'used' AND t.run_id {these} ORDER BY t.position"""
_COMMUNICATIONS: Final = """
    SELECT t.uid, i.id, i.uid FROM runs t JOIN runs i ON i.id = t.initiated_by_run_id WHERE t.id {these} ORDER BY t.position"""
_RESPONSIBILITIES: Final = """
    SELECT t.uid, c.uid, t.created_by_id, t.environment_id
    FROM runs t JOIN transforms c ON c.id = t.transform_id WHERE t.id {these} ORDER BY t.position"""
