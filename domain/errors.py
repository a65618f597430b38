"""Every error the project raises, in one tree; each text says what happened, to what, and what to do next.

Wrong argument types and values are `TypeError` and `ValueError` as well, so that code which knows
nothing of this project still catches them.
"""

from __future__ import annotations


class LineageLogError(Exception):
    """Base of all errors of this project."""


class DomainError(LineageLogError):
    """The request contradicts recorded facts, or can never become one."""


class InvalidValueError(DomainError, ValueError):
    """A value that must not enter the log.

    Attributes:
        what: Name of the field or parameter.
        why: What is wrong with the value.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} {self.why}"


class RecordNotFoundError(DomainError, LookupError):
    """No record matches.

    Attributes:
        registry: Name of the registry that was asked, such as `Artifact`.
        criteria: What was asked for, as text.
    """

    def __init__(self, registry: str, criteria: str, hint: str = "") -> None:
        super().__init__(registry, criteria, hint)
        self.registry = registry
        self.criteria = criteria
        self.hint = hint

    def __str__(self) -> str:
        text = f"no {self.registry} matches {self.criteria}"
        return f"{text}; {self.hint}" if self.hint else text


class MultipleRecordsError(DomainError, LookupError):
    """More than one record matches where one was asked for.

    Attributes:
        registry: Name of the registry that was asked.
        criteria: What was asked for, as text.
        matches: Some of the matching records, as text.
    """

    def __init__(self, registry: str, criteria: str, matches: tuple[str, ...]) -> None:
        super().__init__(registry, criteria, matches)
        self.registry = registry
        self.criteria = criteria
        self.matches = matches

    def __str__(self) -> str:
        return (
            f"more than one {self.registry} matches {self.criteria}: {', '.join(self.matches)}; "
            "add characters or conditions until one is left"
        )


class UserNotFoundError(RecordNotFoundError):
    """No user has this handle."""


class UnknownFieldError(DomainError, ValueError):
    """A query names a field, relation or lookup that does not exist.

    Attributes:
        registry: Name of the registry that was asked.
        name: The unknown name.
        choices: Names that exist in its place.
    """

    def __init__(self, registry: str, name: str, choices: tuple[str, ...], kind: str = "field") -> None:
        super().__init__(registry, name, choices, kind)
        self.registry = registry
        self.name = name
        self.choices = choices
        self.kind = kind

    def __str__(self) -> str:
        import difflib

        near = difflib.get_close_matches(self.name, self.choices, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return (
            f"{self.registry} has no {self.kind} {self.name!r}{hint}; "
            f"the {self.kind}s are: {', '.join(sorted(self.choices))}"
        )


class ImmutableFieldError(DomainError, AttributeError):
    """A field that is part of a record's identity or history cannot be assigned."""

    def __init__(self, registry: str, field: str, choices: tuple[str, ...]) -> None:
        super().__init__(registry, field, choices)
        self.registry = registry
        self.field = field
        self.choices = choices

    def __str__(self) -> str:
        return (
            f"{self.registry}.{self.field} is part of the recorded history and cannot be changed; "
            f"fields that can: {', '.join(self.choices) or 'none'}"
        )


class UnsavedRecordError(DomainError):
    """A record must be saved before it is used like this."""


class RunClosedError(DomainError):
    """The run has ended; nothing can be added to it."""

    def __init__(self, uid: str, status: str) -> None:
        super().__init__(uid, status)
        self.uid = uid
        self.status = status

    def __str__(self) -> str:
        return f"run {self.uid} is already {self.status}; start a new run with ln.track() or ln.Run(...)"


class ArtifactStateError(DomainError):
    """The artifact is in the trash, deleted for good, or neither, and what was asked needs another state.

    Attributes:
        uid: Uid of the artifact.
        state: Its state: `live`, `trashed` or `deleted`.
        refused: What cannot be done, as a predicate.
    """

    _HINTS = {
        "live": "it is not in the trash",
        "trashed": "it is in the trash already; take it out with restore(), or delete it for good with delete(permanent=True)",
        "deleted": "it was deleted for good; what is recorded about it stays, it cannot come back",
    }

    def __init__(self, uid: str, state: str, refused: str) -> None:
        super().__init__(uid, state, refused)
        self.uid = uid
        self.state = state
        self.refused = refused

    def __str__(self) -> str:
        return f"the artifact {self.uid} {self.refused}: {self._HINTS.get(self.state, self.state)}"


class ArtifactDeletedError(DomainError):
    """The artifact was deleted for good: nothing can use it any more.

    Attributes:
        uid: Uid of the artifact.
        who: Handle of the user who deleted it.
        at: When, as text.
        reason: Why, in the user's words.
    """

    def __init__(self, uid: str, who: str | None, at: str, reason: str | None) -> None:
        super().__init__(uid, who, at, reason)
        self.uid = uid
        self.who = who
        self.at = at
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the artifact {self.uid} was deleted for good by {self.who or 'somebody unknown'} on {self.at}"
            f"{f' ({self.reason})' if self.reason else ', without a reason'}; what is recorded about it stays, its content cannot "
            "be used any more. Take another version of it, or save the content again if you still have it"
        )


class ReasonRequiredError(DomainError):
    """The store demands a reason for each change and deletion, and none was given.

    Attributes:
        attempt: Topic of the event that was not recorded.
        what: The same in words: the kind of event, and the record it is about.
    """

    def __init__(self, attempt: str, what: str | None = None) -> None:
        super().__init__(attempt, what)
        self.attempt = attempt
        self.what = what or attempt

    def __str__(self) -> str:
        return (
            f"this store demands a reason for each change and deletion, and none was given for {self.what}; nothing was changed. "
            "Say why with reason='…' or --reason, or around several changes `with store.because('…'):`"
        )


class NoRunError(DomainError):
    """There is no current run, and the call needs one."""


class ConstraintError(DomainError):
    """The request breaks a uniqueness rule."""


class ConcurrentWriteError(LineageLogError):
    """Another writer appended to the same record first; reload it and try again."""


class StorageError(LineageLogError):
    """The database or the artifact storage could not do what was asked."""


class StoreNotFoundError(StorageError):
    """There is no store where one was expected."""


class StoreExistsError(StorageError):
    """There is a store already where a new one was to be made."""


class StoreUnavailableError(StorageError):
    """The database cannot be reached or is busy; nothing was written, the call can be repeated."""


class StoreBusyError(StoreUnavailableError):
    """Other writers held the log for too long; nothing was written, the call can be repeated."""


class StoreReadOnlyError(StorageError):
    """The store can be read but not written."""


class SchemaVersionError(StorageError):
    """The store was written by a newer version of the software."""


class LogCorruptError(StorageError):
    """The log holds something that cannot be read as an event."""


class ObjectMissingError(StorageError, FileNotFoundError):
    """A path or stored object does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ObjectExistsError(StorageError):
    """Another object already stands where one was to be written."""


class ContentChangedError(StorageError):
    """A file changed while it was being read; nothing was registered."""


class DigestMismatchError(StorageError):
    """Stored bytes are not those that were registered."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"the content of {self.path} is not what was registered: SHA-256 is {self.found}, "
            f"recorded {self.expected}; restore the file from a copy, or inspect who changed it"
        )


class UnsupportedFormatError(StorageError, ValueError):
    """The content cannot be loaded or stored in this form."""


class ProjectionError(LineageLogError):
    """A view could not be built from the log."""


class ExportError(LineageLogError):
    """An export could not be made."""


class UnknownFormatError(ExportError, ValueError):
    """No format has this name."""

    def __init__(self, name: str, choices: tuple[str, ...]) -> None:
        super().__init__(name, choices)
        self.name = name
        self.choices = choices

    def __str__(self) -> str:
        what = (
            f"unknown format {self.name!r}" if self.name else "no format is named, and the name of the file tells none"
        )
        return f"{what}; choose one of: {', '.join(self.choices)}"


class QueryError(ExportError, ValueError):
    """A SPARQL query is malformed or asks for something that is refused."""


class MalformedDocumentError(ExportError, ValueError):
    """A file is not the PROV document that its format makes it, or is one that is refused."""


class MissingPackageError(LineageLogError, ModuleNotFoundError):
    """A package that belongs to every installation is not there, so that this one is not whole.

    Attributes:
        package: Name of the module that was sought.
    """

    def __init__(self, package: str) -> None:
        super().__init__(package)
        self.package = package

    def __str__(self) -> str:
        return (
            f"the module {self.package!r}, which lineagelog needs, is not installed for the Python that runs here; run "
            "`python -m pip install lineagelog` with that Python, which installs all that is missing"
        )
