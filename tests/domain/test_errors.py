from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from lineagelog.adapters.log.database import UniquenessError
from lineagelog.domain import errors
from lineagelog.domain.errors import LineageLogError

EXAMPLES: dict[type[LineageLogError], LineageLogError] = {
    type(error): error
    for error in (
        errors.InvalidValueError("params", "is NaN"),
        errors.RecordNotFoundError("Artifact", "uid 'x'", "list them with ln.Artifact.filter()"),
        errors.UserNotFoundError("User", "handle 'x'"),
        errors.MultipleRecordsError("Artifact", "uid 'x'", ("xa", "xb")),
        errors.UnknownFieldError("Artifact", "kye", ("key", "kind"), "lookup"),
        errors.ImmutableFieldError("Artifact", "hash", ("description",)),
        errors.RunClosedError("x", "finished"),
        errors.ArtifactStateError("x", "trashed", "cannot be put into the trash"),
        errors.ArtifactDeletedError("x", "mara", "2026-11-21 06:00:00 UTC", "superseded"),
        errors.DigestMismatchError("a/b", "0" * 64, "1" * 64),
        errors.UnknownFormatError("pdf", ("prov-json",)),
        UniquenessError("users", ("handle",)),
    )
}


def tree(root: type[LineageLogError]) -> list[type[LineageLogError]]:
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


CLASSES = sorted(set(tree(LineageLogError)), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_survive_the_way_between_processes(cls: type[LineageLogError]) -> None:
    error = EXAMPLES.get(cls) or cls("what happened, and what to do")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is cls
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert str(again), "an error always says something"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_error_classes_say_what_they_mean_and_end_in_error(cls: type[LineageLogError]) -> None:
    assert cls.__name__.endswith("Error")
    assert inspect.getdoc(cls)
    assert "__doc__" in vars(cls)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.InvalidValueError, ValueError),
        (errors.RecordNotFoundError, LookupError),
        (errors.ImmutableFieldError, AttributeError),
        (errors.ObjectMissingError, FileNotFoundError),
        (errors.UnknownFormatError, ValueError),
        (errors.QueryError, ValueError),
    ],
)
def test_errors_of_a_common_kind_are_caught_as_such(cls: type[LineageLogError], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


def test_texts_name_the_thing_and_the_next_step() -> None:
    texts = {type(error).__name__: str(error) for error in EXAMPLES.values()}
    assert texts["RecordNotFoundError"] == "no Artifact matches uid 'x'; list them with ln.Artifact.filter()"
    assert texts["UserNotFoundError"] == "no User matches handle 'x'"
    assert texts["MultipleRecordsError"].endswith("xa, xb; add characters or conditions until one is left")
    assert (
        texts["UnknownFieldError"] == "Artifact has no lookup 'kye' (did you mean 'key'?); the lookups are: key, kind"
    )
    assert "fields that can: description" in texts["ImmutableFieldError"]
    assert "x cannot be put into the trash: it is in the trash already; take it out" in texts["ArtifactStateError"]
    assert "deleted for good by mara on 2026-11-21 06:00:00 UTC (superseded)" in texts["ArtifactDeletedError"]
    assert "restore the file from a copy" in texts["DigestMismatchError"]
    assert "choose one of: prov-json" in texts["UnknownFormatError"]
