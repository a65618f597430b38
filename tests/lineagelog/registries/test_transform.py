from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]


def test_the_same_source_and_tag_are_one_version(store: Store) -> None:
    first = ln.Transform("align", version="7.2.0", source_code="a").save()
    again = ln.Transform("align", version="7.2.0", source_code="a").save()
    assert again.uid == first.uid
    assert len(first.uid) == 16
    assert first.uid.endswith("0000")


def test_other_source_or_another_tag_is_the_next_version(store: Store) -> None:
    first = ln.Transform("align", version="1", source_code="a").save()
    second = ln.Transform("align", version="2", source_code="a").save()
    third = ln.Transform("align", version="2", source_code="b").save()
    assert {transform.uid[:12] for transform in (first, second, third)} == {first.uid[:12]}
    assert [transform.version_number for transform in first.versions] == [0, 1, 2]
    assert [transform.is_latest for transform in first.versions] == [False, False, True]
    assert ln.Transform.get(key="align") == third
    assert ln.Transform.get(key="align", version="1") == first


def test_a_key_may_name_things_of_two_types(store: Store) -> None:
    assert ln.Transform("align", type="function").save().uid[:12] != ln.Transform("align", type="app").save().uid[:12]


def test_a_family_goes_on_under_another_key(store: Store) -> None:
    first = ln.Transform("align.py", type="script", source_code="a").save()
    second = ln.Transform("align2.py", type="script", source_code="b", revises=first).save()
    assert second.uid[:12] == first.uid[:12]
    assert not first.refresh().is_latest


def test_parents_and_children_follow_from_lineage(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("make")) as make:
        artifact = ln.Artifact(frame(), key="t.parquet").save()
    with ln.Run(ln.Transform("use")) as use:
        artifact.load()
    assert [parent.key for parent in use.transform.parents] == ["make"]
    assert [child.key for child in make.transform.children] == ["use"]
    assert make.transform.latest_run == make
    assert [made.uid for made in make.transform.artifacts] == [artifact.uid]


def test_descriptions_change_and_source_does_not(store: Store, refused: Refused) -> None:
    transform = ln.Transform("align", source_code="a").save()
    transform.description = "aligns reads"
    transform.save()
    assert ln.Transform.get(transform.uid).description == "aligns reads"
    for field in ("source_code", "hash", "key", "type"):
        refused(errors.ImmutableFieldError, lambda field=field: setattr(transform, field, "x"), field)  # type: ignore[misc]


def test_credentials_in_a_reference_are_taken_out(store: Store) -> None:
    transform = ln.Transform("align", reference="https://ada:hunter22@example.org/align").save()
    assert "hunter22" not in str(transform.reference)


def test_a_type_that_does_not_exist_is_refused(store: Store, refused: Refused) -> None:
    refused(errors.InvalidValueError, lambda: ln.Transform("align", type="wizardry"), "wizardry")


def test_the_older_name_of_key_still_works(store: Store) -> None:
    assert ln.Transform(name="align").save().name == "align"
    with pytest.raises(errors.InvalidValueError, match="key"):
        ln.Transform()
