"""Tasks of a Nextflow pipeline, from the trace file that it leaves and what its plugin nf-prov writes.

The trace says which tasks ran, when, and how they ended; a file of nf-prov says what they read and wrote. Times in a trace have no
time zone: they are those of the machine that Nextflow ran on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lineagelog import current
from lineagelog.domain.errors import InvalidValueError, ObjectMissingError
from lineagelog.domain.run import ABORTED, FAILED, FINISHED, GitState
from lineagelog.workflows.foreign import (
    Ending,
    ForeignFile,
    ForeignRun,
    ForeignTransform,
    Imported,
    import_runs,
    shortened,
)

if TYPE_CHECKING:
    from lineagelog.store import Store

SYSTEM: Final = "nextflow"
"""Reference type of the runs."""

_STATUSES: Final = {"COMPLETED": FINISHED, "CACHED": FINISHED, "FAILED": FAILED, "ABORTED": ABORTED}
_NEEDED: Final = ("hash", "name", "status")
_TOLD_OTHERWISE: Final = ("hash", "name", "process", "status", "submit", "start", "complete", "script", "task_id")
_NONE: Final = "-"
_HASH_LENGTH: Final = 8
"""Digits of a task's hash that a trace shows."""

_ROW_BEGINS: Final = {"task_id": re.compile(r"\d+\t"), "hash": re.compile(r"[0-9a-f]{2}/[0-9a-f]{6}\t")}
"""How a row of a trace begins, by its first column."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class _Task:
    """What nf-prov tells of a task: paths as it writes them."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    script: str | None = None


@dataclass(frozen=True, slots=True)
class _Manifest:
    """A file of nf-prov.

    Attributes:
        tasks: What it tells of each task, by the beginning of the task's hash or by its number.
        published: Path in the work directory to the path under which it was published.
        name: Name of the pipeline.
        session: Id of Nextflow's session.
        params: Parameters of the pipeline.
        git: Where its code came from.
    """

    tasks: Mapping[str, _Task] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    session: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    git: GitState | None = None


def import_nextflow(
    trace: str | Path,
    *,
    prov: str | Path | None = None,
    name: str | None = None,
    timezone: str | None = None,
    folder: str | Path | None = None,
    work_dir: str | Path | None = None,
    store: Store | None = None,
) -> Imported:
    """Record the tasks of a Nextflow pipeline; those that are on record already are left as they are.

    Args:
        trace: The trace file (`nextflow run -with-trace`).
        prov: A file of the plugin nf-prov: `bco`, `wrroc` or the older `legacy`.
        name: Name of the pipeline; that in the nf-prov file, else that of the folder, by default.
        timezone: Time zone of the machine it ran on, such as `Europe/Berlin`; that of this machine by default.
        folder: Where Nextflow was started, to which paths are relative; that of the trace file by default.
        work_dir: Its work directory (`nextflow run -work-dir`), which nf-prov calls `work` wherever it lies; `work` in that folder
            by default.
        store: Store to record in; the current one by default.

    Returns:
        What was recorded: a run of the pipeline, and one for each task, started by it.

    Raises:
        ObjectMissingError: There is no such file.
        InvalidValueError: A file is not what it should be, or the time zone is unknown.
    """
    path = Path(trace)
    zone = _zone(timezone)
    rows = _read_trace(path)
    manifest = _read_manifest(Path(prov)) if prov is not None else _Manifest()
    launched = Path(folder) if folder is not None else path.resolve().parent
    pipeline = name or manifest.name or launched.resolve().name
    files = _Files(manifest, launched.resolve(), Path(work_dir).resolve() if work_dir is not None else None)
    tasks = [_told(row, pipeline, manifest, files, zone, path) for row in rows]
    whole = _pipeline(path, Path(prov) if prov is not None else None, pipeline, manifest, rows, tasks)
    started = [whole, *(replace(task, parent=whole.reference) for task in tasks)]
    return import_runs(store if store is not None else current.current_store(), started)


def _read_trace(path: Path) -> list[dict[str, str]]:
    """Read the rows of a trace.

    Raises:
        ObjectMissingError: There is no such file.
        InvalidValueError: It is no trace.
    """
    what = f"the trace file {path.name}"
    with _opened(path) as file:
        try:
            rows = _fields(file.read())
        except UnicodeDecodeError as exc:
            raise InvalidValueError(what, f"is no text table: {exc}") from exc
    header = rows[0] if rows else []
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        raise InvalidValueError(
            what,
            f"has no column {' or '.join(missing)} in its first line; pass a file written by `nextflow run -with-trace`",
        )
    if "submit" not in header and "start" not in header:
        raise InvalidValueError(
            what, "says of no task when it ran; add `submit`, `start` and `complete` to Nextflow's trace.fields"
        )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InvalidValueError(
                what, f"has {len(row)} fields in line {number} where its first line has {len(header)}"
            )
    if len(rows) < 2:
        raise InvalidValueError(what, "tells of no task")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def _fields(text: str) -> list[list[str]]:
    """Split a trace into rows and fields.

    Nextflow writes scripts into it as they are, with line ends and tabs. A row is known by the number or hash of a task at its
    beginning, and what is too much for the columns belongs to the script.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    header = lines[0].split("\t")
    begins = _ROW_BEGINS.get(header[0])
    rows: list[str] = []
    for line in lines:
        if begins is not None and len(rows) > 1 and not begins.match(line):
            rows[-1] += f"\n{line}"
        elif line.strip():
            rows.append(line)
    split = [row.rstrip("\n").split("\t") for row in rows]
    if "script" in header:
        place = header.index("script")
        for fields in split:
            more = max(len(fields) - len(header), 0)
            fields[place : place + more + 1] = ["\t".join(fields[place : place + more + 1])]
    return split


def _told(
    row: Mapping[str, str], pipeline: str, manifest: _Manifest, files: _Files, zone: tzinfo | None, path: Path
) -> ForeignRun:
    """Say what one line of a trace, with what nf-prov tells of the same task, means."""
    what = f"the trace file {path.name}"
    title = row["name"]
    process = row.get("process") or title.partition(" (")[0]
    key = row["hash"].replace("/", "")[:_HASH_LENGTH]
    task = manifest.tasks.get(key) or manifest.tasks.get(row.get("task_id", "")) or _Task()
    submitted = _moment(row.get("submit"), zone, what)
    started = _moment(row.get("start"), zone, what) or submitted
    if started is None:
        raise InvalidValueError(what, f"does not say when the task {title} was submitted or started")
    finished = _moment(row.get("complete"), zone, what)
    if finished is None:
        lasted = _duration(row.get("realtime"), what) if row.get("start") else None
        whole = _duration(row.get("duration"), what)
        finished = submitted + whole if submitted is not None and whole is not None and lasted is None else started
        finished = started + lasted if lasted is not None else finished
    script = row.get("script") if row.get("script") not in (None, _NONE) else task.script
    inputs, elsewhere = files.of(task.inputs)
    outputs, _ = files.of(task.outputs)
    params: dict[str, Any] = {
        column: int(value) if value.isdecimal() and column in ("exit", "attempt", "cpus") else value
        for column, value in row.items()
        if column not in _TOLD_OTHERWISE and value not in ("", _NONE)
    }
    if row["status"] == "CACHED":
        params["cached"] = True
    if elsewhere:
        params["remote_inputs"] = elsewhere
    return ForeignRun(
        reference=shortened(f"{key} {title}"),
        reference_type=SYSTEM,
        transform=ForeignTransform(shortened(f"{pipeline}:{process}")),
        started_at=started,
        name=shortened(title),
        params=params,
        inputs=inputs,
        outputs=outputs,
        ending=_ending(row, finished),
        command=["bash", "-c", script] if script else (),
    )


def _ending(row: Mapping[str, str], at: datetime) -> Ending | None:
    status = _STATUSES.get(row["status"])
    if status is None:
        return None
    code = row.get("exit", _NONE)
    text = f"{row['name']} ended with exit code {code}" if code != _NONE else f"{row['name']} {row['status'].lower()}"
    return Ending(status, at, "ExitStatus" if status == FAILED else row["status"], text)


def _pipeline(
    trace: Path,
    prov: Path | None,
    name: str,
    manifest: _Manifest,
    rows: Sequence[Mapping[str, str]],
    tasks: Sequence[ForeignRun],
) -> ForeignRun:
    """Say what the run of the pipeline was: it lasted from the first task to the last, and failed if one of them did for good."""
    first = "\t".join(f"{column}={rows[0][column]}" for column in sorted(rows[0]))
    ended = {row["name"]: task.ending for row, task in zip(rows, tasks, strict=True)}
    ending = None
    if None not in ended.values():
        last = max(task.ending.at for task in tasks if task.ending is not None)
        # Of a task that was tried again, the last attempt counts.
        worst = next((each for each in ended.values() if each and each.status == FAILED), None)
        ending = Ending(FAILED, last, worst.error_type, worst.message) if worst is not None else Ending(FINISHED, last)
    reports = [(trace, f"{name}/trace.txt"), *([(prov, f"{name}/{prov.name}")] if prov is not None else [])]
    return ForeignRun(
        reference=manifest.session or hashlib.sha256(f"{name}\n{first}".encode()).hexdigest(),
        reference_type=SYSTEM,
        transform=ForeignTransform(
            shortened(name), reference=manifest.git.remote if manifest.git is not None else None
        ),
        started_at=min(task.started_at for task in tasks),
        params=manifest.params,
        outputs=[ForeignFile(path, key, "report", is_temporary=True) for path, key in reports],
        ending=ending,
        git=manifest.git,
    )


class _Files:
    """Finds the files that nf-prov names."""

    def __init__(self, manifest: _Manifest, launched: Path, work_dir: Path | None) -> None:
        self._published = manifest.published
        self._launched = launched
        self._work_dir = work_dir or launched / "work"

    def of(self, names: Sequence[str]) -> tuple[list[ForeignFile], list[str]]:
        """Turn paths into files, under the names that they were published as; those of other machines stay as they are."""
        files, elsewhere = [], []
        for name in dict.fromkeys(names):
            path = self._local(name)
            if path is None:
                elsewhere.append(name)
                continue
            published = self._published.get(name)
            target = self._local(published) if published is not None else None
            # Nextflow's work directory is often emptied when all is done.
            found = path if path.exists() or target is None else target
            files.append(ForeignFile(found, self._key(target or path), is_temporary=found != target))
        return files, elsewhere

    def _local(self, name: str) -> Path | None:
        # What Nextflow itself has put together from values has a name in a crate, and no place.
        if name.startswith("#") or ("://" in name and not name.startswith("file://")):
            return None
        if name.startswith("work/"):
            return self._work_dir / name.removeprefix("work/")
        path = self._launched / name.removeprefix("file://")
        # nf-prov writes addresses of files without escapes, other tools with them.
        return path if path.exists() or not name.startswith("file://") else self._launched / unquote(str(path))

    def _key(self, path: Path) -> str:
        return path.relative_to(self._launched).as_posix() if path.is_relative_to(self._launched) else path.name


def _read_manifest(path: Path) -> _Manifest:
    """Read a file of nf-prov, whichever of its formats it has.

    Raises:
        ObjectMissingError: There is no such file.
        InvalidValueError: It has none of them.
    """
    what = f"the nf-prov file {path.name}"
    with _opened(path) as file:
        try:
            content = json.load(file)
        except ValueError as exc:
            raise InvalidValueError(what, f"is no JSON: {exc}") from exc
    readers = {"description_domain": _from_bco, "@graph": _from_wrroc, "tasks": _from_legacy}
    for mark, reader in readers.items():
        if isinstance(content, dict) and mark in content:
            try:
                return reader(content, path.resolve().parent)
            except (KeyError, TypeError, AttributeError, ValueError) as exc:
                raise InvalidValueError(what, f"lacks what nf-prov writes: {type(exc).__name__}: {exc}") from exc
    raise InvalidValueError(what, "has none of nf-prov's formats: bco, wrroc or legacy")


def _from_bco(content: dict[str, Any], _folder: Path) -> _Manifest:
    steps = content["description_domain"]["pipeline_steps"]
    commits = [each["scm_extension"] for each in content.get("extension_domain") or () if "scm_extension" in each]
    return _Manifest(
        tasks={
            step["name"][:_HASH_LENGTH]: _Task(
                tuple(each["uri"] for each in step["input_list"]), tuple(each["uri"] for each in step["output_list"])
            )
            for step in steps
        },
        published={
            each["uri"]["filename"]: each["uri"]["uri"] for each in content["io_domain"].get("output_subdomain", ())
        },
        name=content["provenance_domain"].get("name") or None,
        params={each["param"]: each["value"] for each in content.get("parametric_domain") or ()},
        git=_git(commits[0].get("scm_repository"), commits[0].get("scm_commit")) if commits else None,
    )


def _from_wrroc(content: dict[str, Any], folder: Path) -> _Manifest:
    nodes = {node["@id"]: node for node in content["@graph"]}
    actions = [node for node in nodes.values() if node.get("@type") == "CreateAction"]
    main = nodes[nodes["./"]["mainEntity"]["@id"]]
    whole: dict[str, Any] = next((node for node in actions if _ids(node.get("instrument")) == [main["@id"]]), {})
    return _Manifest(
        tasks={
            node["@id"].removeprefix("#task/")[:_HASH_LENGTH]: _Task(
                tuple(map(_task_path, _ids(node.get("object")))), tuple(map(_task_path, _ids(node.get("result"))))
            )
            for node in actions
            if node["@id"].startswith("#task/")
        },
        published={
            # Names in a crate are relative to the folder of the crate, which is where the results are.
            _task_path(source): str(folder / target)
            for node in actions
            if node["@id"].startswith("#publish/")
            for source, target in zip(_ids(node["object"]), _ids(node["result"]), strict=True)
        },
        name=main.get("name"),
        session=whole["@id"].removeprefix("#") if whole else None,
        params={
            node["name"]: node.get("value")
            for node in nodes.values()
            if node.get("@type") == "PropertyValue" and not node["@id"].startswith("#output/")
        },
        git=_git(main.get("codeRepository"), main.get("version")),
    )


def _from_legacy(content: dict[str, Any], _folder: Path) -> _Manifest:
    return _Manifest(
        tasks={
            str(number): _Task(
                tuple(path for each in task["inputs"] for path in _paths(each["value"])),
                tuple(path for each in task["outputs"] for path in _paths(each["value"])),
                task.get("script"),
            )
            for number, task in content["tasks"].items()
        },
        published={each["source"]: each["target"] for each in content.get("published", ())},
        name=(content.get("pipeline") or {}).get("name"),
    )


def _task_path(name: str) -> str:
    """Turn the name that a crate gives to an output of a task, `#task/HASH/NAME`, into its path in the work directory."""
    found = re.fullmatch(r"#task/([0-9a-f]{2})([0-9a-f]+)/(.+)", name)
    return f"work/{found[1]}/{found[2]}/{found[3]}" if found is not None else name


def _paths(value: Any) -> Iterator[str]:
    """Find the paths in a value of a channel: whole absolute paths and addresses of files."""
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)
    elif isinstance(value, dict):
        yield from _paths(list(value.values()))
    elif isinstance(value, str) and (value.startswith("/") or "://" in value):
        yield value


def _ids(value: Any) -> list[str]:
    if value is None:
        return []
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def _git(remote: str | None, commit: str | None) -> GitState | None:
    return GitState(commit=commit, dirty=None, remote=remote) if commit else None


def _moment(text: str | None, zone: tzinfo | None, what: str) -> datetime | None:
    """Read a time of a trace: as people read it, or in milliseconds where `trace.raw` was set."""
    if text in (None, "", _NONE):
        return None
    assert text is not None
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        read = datetime.fromisoformat(text)
        # Without a zone, `astimezone` takes that of this machine.
        return (read.replace(tzinfo=zone) if zone is not None and read.tzinfo is None else read).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidValueError(what, f"holds {text!r} where a time should be") from exc


def _duration(text: str | None, what: str) -> timedelta | None:
    """Read how long something lasted: `1h 2m 3.5s`, or milliseconds."""
    if text in (None, "", _NONE):
        return None
    assert text is not None
    if text.isdecimal():
        return timedelta(milliseconds=int(text))
    parts = re.findall(r"([\d.]+)\s*(ms|s|m|h|d)\b", text)
    if not parts or re.sub(r"[\d.]+\s*(ms|s|m|h|d)\b", "", text).strip():
        raise InvalidValueError(what, f"holds {text!r} where a duration should be")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise InvalidValueError(
            "the time zone", f"{name!r} is unknown; write one such as Europe/Berlin or UTC"
        ) from exc


def _opened(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError as exc:
        raise ObjectMissingError(f"{path} cannot be read: {exc.strerror}; check the path") from exc
