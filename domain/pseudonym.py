"""Events without what tells of people and projects: which field of which fact is kept, replaced or left out?

A replacement is a number in the order of appearance (`name 3`, `folder1/file2.parquet`), so nothing can be computed back from it,
equal values stay equal, and one log always gives the same replacements. What a text is made of stays where programs depend on it:
depth of folders, well-known suffixes, form of uids, hashes and dates.
"""

from __future__ import annotations

import builtins
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import takewhile
from typing import Any, Final, TypeAlias

import msgspec

from lineagelog.domain import policy
from lineagelog.domain.annotation import CATEGORY_REGISTRIES, DTYPES, SUBJECTS
from lineagelog.domain.artifact import ARTIFACT_KINDS, CHANGED, INTACT, MISSING, ArtifactRegistered
from lineagelog.domain.collection import CollectionRegistered, collection_hash
from lineagelog.domain.event import TOPICS, Context, Event, RecordedEvent
from lineagelog.domain.ids import ALPHABET, ANONYMOUS_UID, VERSION_LENGTH, Id, time_of_id
from lineagelog.domain.run import LOST
from lineagelog.domain.transform import TRANSFORM_TYPES
from lineagelog.domain.user import ANONYMOUS_HANDLE
from lineagelog.domain.values import parse_time, time_text

UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""Where in a text the id of a record stands."""

SUFFIXES: Final = frozenset((
    ".arrow", ".bam", ".bed", ".bin", ".bz2", ".cfg", ".csv", ".fasta", ".fastq", ".feather", ".fcs", ".gz", ".h5", ".h5ad",
    ".h5mu", ".html", ".ipynb", ".jpeg", ".jpg", ".json", ".jsonl", ".log", ".md", ".mtx", ".nc", ".nf", ".npy", ".npz", ".ome",
    ".onnx", ".parquet", ".pdf", ".pickle", ".pkl", ".png", ".pt", ".py", ".r", ".rds", ".safetensors", ".sdata", ".sh", ".smk",
    ".svg", ".tar", ".tif", ".tiff", ".toml", ".tsv", ".txt", ".vcf", ".xlsx", ".xml", ".xz", ".yaml", ".yml", ".zarr", ".zip",
    ".zst",
))  # fmt: skip
"""Suffixes that stay, since they say how content is read and nothing else."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_ISO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_EPOCH: Final = date(2000, 1, 1)
_SOFTWARE: Final = re.compile(r"lineagelog/\d+(\.\w+)*")
_ARROW_TYPES: Final = frozenset((
    "null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "halffloat", "float", "double",
    "string", "large_string", "string_view", "binary", "large_binary", "date32", "date64", "time32", "time64", "timestamp",
    "duration", "decimal128", "decimal256", "dictionary", "list", "large_list", "struct", "map",
))  # fmt: skip
_STORE_FOLDERS: Final = frozenset(("", ".", "..", ".lineagelog", "objects"))


class Pseudonyms:
    """What stands for what in one fixture.

    Attributes:
        shift: Added to every time.
        keep_numbers: Numbers among parameters and feature values stay as they are.
    """

    def __init__(self, *, shift: timedelta = timedelta(0), keep_numbers: bool = False) -> None:
        self.shift = shift
        self.keep_numbers = keep_numbers
        self._numbers: dict[tuple[str, Any], int] = {}
        self._counts: Counter[str] = Counter()
        self._ids: dict[str, str] = {}
        self._hashes: dict[str, str] = {}

    def number(self, kind: str, value: Any) -> int:
        """Count the different values of a kind, from 1, in the order in which they appear."""
        known = self._numbers.get((kind, value))
        if known is None:
            self._counts[kind] += 1
            known = self._numbers[kind, value] = self._counts[kind]
        return known

    def known(self, kind: str, value: Any) -> int | None:
        """Return the number of a value that has one."""
        return self._numbers.get((kind, value))

    def keep_id(self, record_id: str) -> None:
        """Let an id stand for itself."""
        self._ids[record_id] = record_id

    def id(self, value: str) -> str:
        """Replace an id by another one of the same, shifted, moment, so that ids stay in the order of their times."""
        known = self._ids.get(value)
        if known is None:
            made = time_of_id(value)
            stamp = 0 if made is None else int((made + self.shift).timestamp() * 1000)
            head, tail = f"{max(stamp, 0):012x}", _digest("id", self.number("id", value))
            # The 12 bits after the milliseconds are a fraction of one; those of the variant are 10.
            known = f"{head[:8]}-{head[8:]}-7{value[15:18]}-{int(tail[0], 16) & 3 | 8:x}{tail[1:4]}-{tail[4:16]}"
            self._ids[value] = known
        return known

    def time(self, text: str) -> str:
        """Shift a time of the log."""
        return time_text(parse_time(text) + self.shift) if _TIME.fullmatch(text) else time_text(_midnight(1))

    def event(self, event: RecordedEvent) -> RecordedEvent | None:
        """Replace or leave out whatever an event tells of people and projects.

        Returns:
            The event, at the same position; `None` for a kind that is left out: one that speaks of the head of the very log, or
            one that this software does not know.
        """
        rules = RULES.get(event.topic)
        if rules is None:
            return None
        fields = _fields(self, msgspec.to_builtins(event.fact), rules)
        fact = self._with_hash(event, msgspec.convert(fields, type(event.fact)))
        context = msgspec.json.decode(event.context, type=Context)
        told = _fields(self, msgspec.to_builtins(context), CONTEXT)
        return msgspec.structs.replace(
            event,
            event_id=Id(self.id(event.event_id)),
            stream=Id(self.id(event.stream)),
            recorded_at=self.time(event.recorded_at),
            fact=fact,
            actor=event.actor and Id(self.id(event.actor)),
            run=event.run and Id(self.id(event.run)),
            reason=None if event.reason is None else f"reason {self.number('reason', event.reason)}",
            context=msgspec.json.encode(msgspec.convert(told, Context)).decode(),
        )

    def _with_hash(self, event: RecordedEvent, fact: Event) -> Event:
        """Let the hash of a collection be that of its members' hashes, as it was."""
        if isinstance(fact, ArtifactRegistered):
            self._hashes[event.stream] = fact.hash
        elif isinstance(fact, CollectionRegistered) and isinstance(event.fact, CollectionRegistered):
            members = [self._hashes.get(member) for member in event.fact.artifacts]
            if None not in members:
                return msgspec.structs.replace(fact, hash=collection_hash([str(hash_) for hash_ in members]))
        return fact


Rule: TypeAlias = Callable[[Pseudonyms, Any], Any]
"""What becomes of a value; never called with `None`, which stays."""


def keep(names: Pseudonyms, value: Any) -> Any:
    """Keep a number or a truth value; what is neither does not belong there."""
    return value if isinstance(value, bool | int | float) else json(names, value)


def drop(_: Pseudonyms, __: Any) -> Any:
    """Leave a field out; it has its default."""
    raise AssertionError("a field that is left out has no value")


def empty(_: Pseudonyms, __: Any) -> dict[str, Any]:
    """Leave out what a field holds that must be there."""
    return {}


def numbered(kind: str, form: str = "{kind} {n}") -> Rule:
    """Replace a text by its number among those of its kind."""
    return lambda names, value: form.format(kind=kind, n=names.number(kind, value))


def word(kind: str, known: frozenset[str] | tuple[str, ...]) -> Rule:
    """Keep a word of a fixed vocabulary; whatever else stands there is replaced."""
    return lambda names, value: value if value in known else f"{kind}{names.number(kind, value)}"


def each(rule: Rule) -> Rule:
    """Replace every member of a list."""
    return lambda names, values: [rule(names, value) for value in values]


def nested(rules: Mapping[str, Rule]) -> Rule:
    """Replace the fields of a fact within a fact."""
    return lambda names, fields: _fields(names, fields, rules)


def record_id(names: Pseudonyms, value: str) -> str:
    """Replace the id of a record."""
    return names.id(value) if UUID7.fullmatch(value) else f"id{names.number('no id', value)}"


def uid(names: Pseudonyms, value: str) -> str:
    """Replace a short name by one of the same length."""
    return value if value == ANONYMOUS_UID else _base62(names.number("uid", value), len(value))


def versioned(names: Pseudonyms, value: str) -> str:
    """Replace the stem of a short name; its last characters are the number of the version."""
    stem, version = value[:-VERSION_LENGTH], value[-VERSION_LENGTH:]
    safe = version if all(character in ALPHABET for character in version) else "0" * VERSION_LENGTH
    return _base62(names.number("stem", stem), len(stem)) + safe


def uid_of_any(names: Pseudonyms, value: str) -> str:
    """Replace the short name of a record of whichever registry."""
    return versioned(names, value) if len(value) == _VERSIONED_LENGTH else uid(names, value)


def time(names: Pseudonyms, value: str) -> str:
    """Shift a time."""
    return names.time(value)


def hash_(names: Pseudonyms, value: str) -> str:
    """Replace a hash by one of the same length, so that content is not known by it."""
    return _digest("hash", names.number("hash", value))[: len(value)]


def suffix(_: Pseudonyms, value: str) -> str:
    """Keep a suffix that says how content is read; another one might be somebody's name."""
    known = all(f".{part}" in SUFFIXES for part in value.lower().split(".")[1:])
    return value if (known and value.startswith(".")) or not value else ".x"


def path(names: Pseudonyms, value: str) -> str:
    """Replace every folder and file of a path or URL; its depth and well-known suffixes stay."""
    scheme, separator, rest = value.partition("://")
    if separator:
        host, slash, rest = rest.partition("/")
        start = f"{_scheme(names, scheme)}://host{names.number('host', host)}.example{slash}"
        return start + path(names, rest) if rest else start
    *folders, name = value.split("/")
    return "/".join([*(_component(names, folder, "folder") for folder in folders), _component(names, name, "file")])


def reference(names: Pseudonyms, value: str) -> str:
    """Replace an address, or an id in another system."""
    return path(names, value) if "://" in value else f"reference {names.number('reference', value)}"


def argument(names: Pseudonyms, value: str) -> str:
    """Replace an argument of a command line; that it is an option stays."""
    option, equals, given = value.partition("=")
    dashes = option[: len(option) - len(option.lstrip("-"))][:2]
    if dashes and equals:
        return f"{dashes}option{names.number('option', option)}={argument(names, given)}"
    kind = "option" if dashes else "argument"
    ending = "" if dashes else _suffix_of(value)[1]
    return f"{dashes}{kind}{names.number(kind, value)}{ending}"


def error_type(names: Pseudonyms, value: str) -> str:
    """Keep the name of an exception of Python itself."""
    return value if isinstance(getattr(builtins, value, None), type) else f"Error{names.number('error', value)}"


def column_types(names: Pseudonyms, columns: Mapping[str, str]) -> dict[str, str]:
    """Replace the names of columns, and whatever their types name."""
    return {f"column{names.number('column', name)}": _arrow_type(kind) for name, kind in columns.items()}


def places(names: Pseudonyms, paths: list[str]) -> list[str]:
    """Replace the names in paths into a value, such as `a.b[0]`."""
    return [
        "".join(
            part if part in "[]." or part.isdigit() else f"key{names.number('key', part)}"
            for part in re.split(r"([\[\].])", place)
            if part
        )
        for place in paths
    ]


def json(names: Pseudonyms, value: Any) -> Any:
    """Replace keys, texts and, unless they are kept, numbers of a value; its form, truth values and ids of records stay."""
    if isinstance(value, dict):
        return {f"key{names.number('key', key)}": json(names, item) for key, item in value.items()}
    if isinstance(value, list):
        return [json(names, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if names.keep_numbers:
            return value
        # 1 and 1.0 are equal to Python, and different values here.
        n = names.number(type(value).__name__, value)
        return n if isinstance(value, int) else n + 0.5
    if UUID7.fullmatch(value):
        return names.id(value)
    # A record that was an argument is recorded by its uid.
    if names.known("uid", value):
        return uid(names, value)
    if names.known("stem", value[:-VERSION_LENGTH]):
        return versioned(names, value)
    if _TIME.fullmatch(value):
        return time_text(_midnight(names.number("moment", value)))
    if _ISO_TIME.fullmatch(value):
        return _midnight(names.number("moment", value)).isoformat()
    if _DATE.fullmatch(value):
        return _midnight(names.number("date", value)).date().isoformat()
    return f"text {names.number('text', value)}"


def values(names: Pseudonyms, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Replace values of features."""
    return {
        record_id(names, feature): {side: json(names, value) for side, value in change.items()}
        for feature, change in changes.items()
    }


def changes(rules: Mapping[str, Rule]) -> Rule:
    """Replace old and new values by the rule of the field they belong to."""

    def replace(names: Pseudonyms, changed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        replaced = {}
        for field, change in changed.items():
            rule = rules.get(field)
            name = field if rule is not None else f"field{names.number('field', field)}"
            if rule is not drop:
                replaced[name] = {side: _value(names, rule or json, value) for side, value in change.items()}
        return replaced

    return replace


_NAME: Final = numbered("name")
_TEXT: Final = numbered("text")
_VERSION: Final = numbered("version", "v{n}")
_REFERENCE_TYPE: Final = word("reference type ", ("url", "git", "doi", "mlflow", "nextflow", "snakemake"))
_HOW: Final = word("how", ("cache", "declared", "load", "open", "stage", "backed"))
_REGISTRY: Final = word(
    "registry", (*SUBJECTS, *CATEGORY_REGISTRIES, "Feature", "Project", "Storage", "Store", "Transform", "User")
)

_ARTIFACT: Final[Mapping[str, Rule]] = {
    "uid": versioned, "version_number": keep, "storage": record_id, "path": path, "size_bytes": keep, "hash": hash_,
    "hash_type": word("hash type ", ("sha256", "sha256-folder", "etag")), "key": path, "key_is_virtual": keep,
    "description": _TEXT, "suffix": suffix, "kind": word("kind", ARTIFACT_KINDS),
    "otype": word("Type", ("AnnData", "DataFrame", "MuData", "SpatialData", "Table", "dict", "list", "ndarray")),
    "n_files": keep, "n_observations": keep, "version": _VERSION, "transform": record_id, "run": record_id,
    "revises": record_id, "n_variables": keep, "table_schema": column_types,
}  # fmt: skip
_COLLECTION: Final[Mapping[str, Rule]] = {
    "uid": versioned, "version_number": keep, "key": path, "artifacts": each(record_id), "hash": hash_, "description": _TEXT,
    "version": _VERSION, "transform": record_id, "run": record_id, "revises": record_id,
}  # fmt: skip
_TRANSFORM: Final[Mapping[str, Rule]] = {
    "uid": versioned, "version_number": keep, "key": path, "type": word("type", TRANSFORM_TYPES), "description": _TEXT,
    "version": _VERSION, "source_code": drop, "hash": hash_, "source_redacted": keep, "reference": reference,
    "reference_type": _REFERENCE_TYPE, "revises": record_id,
}  # fmt: skip
_GIT: Final[Mapping[str, Rule]] = {
    "commit": hash_, "dirty": keep, "remote": reference, "branch": numbered("branch", "branch{n}"), "path": path,
}  # fmt: skip
_RUN: Final[Mapping[str, Rule]] = {
    "uid": uid, "transform": record_id, "started_at": time, "name": _NAME, "params": json, "redacted": places,
    "reference": reference, "reference_type": _REFERENCE_TYPE, "initiated_by": record_id, "environment": record_id,
    "git": nested(_GIT), "command": each(argument), "pid": drop, "container": drop,
}  # fmt: skip
_LABEL: Final[Mapping[str, Rule]] = {
    "uid": uid, "name": _NAME, "description": _TEXT, "is_type": keep, "type": record_id, "reference": reference,
    "reference_type": _REFERENCE_TYPE,
}  # fmt: skip
_FEATURE: Final[Mapping[str, Rule]] = {
    "uid": uid, "name": _NAME, "dtype": word("dtype", (*DTYPES, *(f"cat[{name}]" for name in CATEGORY_REGISTRIES))),
    "unit": numbered("unit"), "description": _TEXT, "synonyms": each(_NAME),
}  # fmt: skip
_PROJECT: Final[Mapping[str, Rule]] = {"uid": uid, "name": _NAME, "description": _TEXT, "url": reference}
_STORAGE: Final[Mapping[str, Rule]] = {
    "uid": uid, "root": path, "type": word("protocol", ("local", "s3", "gs", "gcs", "az", "abfs", "http", "https", "memory")),
    "region": numbered("region"), "description": _TEXT, "endpoint_url": path,
}  # fmt: skip
_USER: Final[Mapping[str, Rule]] = {
    "uid": uid,
    "handle": lambda names, value: value if value == ANONYMOUS_HANDLE else f"user{names.number('handle', value)}",
    "name": numbered("Person"),
    "email": numbered("address", "{kind}{n}@example.org"),
}
_SESSION: Final[Mapping[str, Rule]] = {"session": record_id}
_LABELLED: Final[Mapping[str, Rule]] = {"label": record_id, "registry": _REGISTRY, "subject": _REGISTRY}
_ASSIGNED: Final[Mapping[str, Rule]] = {"project": record_id, "subject": _REGISTRY}
_PARENT: Final[Mapping[str, Rule]] = {"parent": record_id, "registry": _REGISTRY}
_VALUES: Final[Mapping[str, Rule]] = {"values": values, "subject": _REGISTRY}
_COUNTS: Final = (
    "content_read", "n_artifacts", "n_missing", "n_changed", "n_unchecked", "n_orphans", "orphan_bytes", "bytes_read",
)  # fmt: skip


def _updated(rules: Mapping[str, Rule], **columns: Rule) -> Mapping[str, Rule]:
    return {"changes": changes({**rules, **columns})}


CONTEXT: Final[Mapping[str, Rule]] = {
    "auth": word("proof", ("declared", "anonymous")),
    "session": record_id,
    "host": numbered("host", "host{n}"),
    "os_user": numbered("account", "account{n}"),
    "software": lambda names, value: (
        value if _SOFTWARE.fullmatch(value) else f"software{names.number('software', value)}"
    ),
}
"""Field of the context of an event to what becomes of it."""

RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "artifact.deleted.1": {
        "storage": record_id, "path": path, "hash": hash_, "size_bytes": keep, "content_removed": keep, "latest": record_id,
    },
    "artifact.registered.1": _ARTIFACT,
    "artifact.restored.1": {"latest": record_id, "superseded": record_id},
    "artifact.seen_again.1": {"run": record_id, "transform": record_id, "description": _TEXT},
    "artifact.trashed.1": {"latest": record_id},
    "artifact.trusted.1": {"format": word("format", ("joblib", "npy", "npz", "pickle")), "how": _HOW},
    "artifact.updated.1": _updated(_ARTIFACT, run_id=record_id, transform_id=record_id),
    "artifact.verified.1": {"outcome": word("outcome", (INTACT, MISSING, CHANGED)), "found_hash": hash_, "found_size_bytes": keep},
    "attempt.refused.1": {
        "attempt": word("attempt", (*TOPICS, "use of deleted content")), "why": _TEXT, "registry": _REGISTRY, "uid": uid_of_any,
    },
    "collection.registered.1": _COLLECTION,
    "collection.updated.1": _updated(_COLLECTION),
    "environment.recorded.1": {
        "hash": hash_, "python": numbered("Python"), "implementation": word("Python", ("cpython", "pypy")),
        "platform": numbered("platform"), "packages": empty, "hardware": drop, "conda": _NAME, "conda_packages": drop,
    },
    "feature.defined.1": _FEATURE,
    "feature.updated.1": _updated(_FEATURE),
    "feature_values.removed.1": _VALUES,
    "feature_values.set.1": _VALUES,
    "input.accessed.1": {"artifact": record_id, "how": _HOW, "accessed_at": time, "role": word("role", ("input",))},
    "label.attached.1": _LABELLED,
    "label.defined.1": _LABEL,
    "label.detached.1": _LABELLED,
    "label.updated.1": _updated(_LABEL),
    "login.failed.1": {"handle": _USER["handle"], "why": word("reason ", ("unknown user",))},
    "parent.added.1": _PARENT,
    "parent.removed.1": _PARENT,
    "policy.changed.1": {"changes": changes({policy.REQUIRE_REASON: keep})},
    "project.assigned.1": _ASSIGNED,
    "project.created.1": _PROJECT,
    "project.unassigned.1": _ASSIGNED,
    "project.updated.1": _updated(_PROJECT),
    "record.defined.1": _LABEL,
    "record.updated.1": _updated(_LABEL),
    "run.aborted.1": {"finished_at": time, "why": word("interruption ", (*signal.Signals.__members__, LOST))},
    "run.failed.1": {"finished_at": time, "error_type": error_type, "message": numbered("message"), "traceback": drop},
    "run.finished.1": {
        "finished_at": time, "is_consecutive": keep, "stale_cells": each(keep), "unrun_cells": each(keep), "imports": drop,
    },
    "run.started.1": _RUN,
    "run.updated.1": _updated(_RUN, transform_id=record_id),
    "storage.checked.1": {**dict.fromkeys(_COUNTS, keep), "started_at": time},
    "storage.collected.1": {"objects": each(nested({"path": path, "size_bytes": keep})), "older_than_s": keep},
    "storage.made_default.1": {"storage": record_id, "previous": record_id},
    "storage.registered.1": _STORAGE,
    "storage.updated.1": _updated(_STORAGE),
    "store.created.1": {"uid": uid, "name": numbered("store"), "modules": each(numbered("module")), "format": keep},
    "transform.registered.1": _TRANSFORM,
    "transform.updated.1": _updated(_TRANSFORM),
    "user.logged_in.1": _SESSION,
    "user.logged_out.1": _SESSION,
    "user.registered.1": _USER,
    "user.updated.1": _updated(_USER),
}  # fmt: skip
"""Topic to field to what becomes of it. A field that is not listed is left out."""

LEFT_OUT: Final = frozenset({"checkpoint.sealed.1", "export.made.1", "key.registered.1"})
"""Topics that speak of the head of the very log, which a fixture has not."""

_VERSIONED_LENGTH: Final = 20


def _fields(names: Pseudonyms, fields: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    return {
        name: _value(names, rules[name], value)
        for name, value in fields.items()
        if name in rules and rules[name] is not drop
    }


def _value(names: Pseudonyms, rule: Rule, value: Any) -> Any:
    return None if value is None else rule(names, value)


def _component(names: Pseudonyms, text: str, kind: str) -> str:
    """Replace one folder or file name; what lies under a name that the store made keeps that form."""
    if text in _STORE_FOLDERS:
        return text
    made = UUID7.match(text)
    if made is not None:
        return names.id(made.group()) + suffix(names, text[made.end() :])
    known = names.known("uid", text)
    if known is not None:
        return _base62(known, len(text))
    stem, ending = _suffix_of(text)
    return f"{kind}{names.number(kind, stem)}{ending}"


def _suffix_of(text: str) -> tuple[str, str]:
    """Split a file name before its well-known suffixes."""
    parts = text.split(".")
    n_known = len(list(takewhile(lambda part: f".{part.lower()}" in SUFFIXES, parts[:0:-1])))
    cut = len(parts) - n_known
    return ".".join(parts[:cut]), "".join(f".{part}" for part in parts[cut:])


def _scheme(names: Pseudonyms, scheme: str) -> str:
    known = ("s3", "gs", "gcs", "az", "abfs", "http", "https", "file", "memory", "git", "ssh", "ftp")
    return scheme if scheme in known else f"scheme{names.number('scheme', scheme)}"


def _arrow_type(text: str) -> str:
    word = text.partition("<")[0].partition("[")[0]
    return word if word in _ARROW_TYPES else "other"


def _midnight(n: int) -> datetime:
    return datetime(_EPOCH.year, _EPOCH.month, _EPOCH.day, tzinfo=UTC) + timedelta(days=n - 1)


def _digest(kind: str, n: int) -> str:
    return sha256(f"lineagelog fixture {kind} {n}".encode()).hexdigest()


def _base62(n: int, length: int) -> str:
    value, digits = int(_digest("uid", n), 16), []
    for _ in range(length):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return "".join(digits)
