"""Notes and keys are those of the specification, read in one form only."""

from __future__ import annotations

import pytest

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.note import Checkpoint, SignedNote, VerifierKey

CHECKPOINT = Checkpoint("lineagelog/abc", 12, "a1" * 32)
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The example of Go's package `note`, which the specification was made from."""
NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_and_a_key_of_another_implementation_are_read_and_written_back() -> None:
    note, key = SignedNote.from_text(NOTE), VerifierKey.from_text(KEY)
    assert note.to_text() == NOTE
    assert key.to_text() == KEY
    assert (note.signatures[0].name, note.signatures[0].key_id) == (key.name, key.id)


def test_a_checkpoint_reads_back() -> None:
    assert Checkpoint.from_text(CHECKPOINT.to_text()) == CHECKPOINT
    assert Checkpoint.from_text(CHECKPOINT.to_text() + "an extension\n") == CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lineagelog/abc\n12\n",
        CHECKPOINT.to_text().removesuffix("\n"),
        CHECKPOINT.to_text() + "\n",
        CHECKPOINT.to_text().replace("12", "012"),
        CHECKPOINT.to_text().replace("12", "-1"),
        CHECKPOINT.to_text().replace("12", "9" * 5000),
        CHECKPOINT.to_text().replace("lineagelog/", "other/"),
        CHECKPOINT.to_text().replace("oaE=", "oaF="),
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="prov checkpoint"):
        Checkpoint.from_text(text)


@pytest.mark.parametrize(
    "note",
    ["", "text\n", NOTE.removesuffix("\n"), NOTE.replace("\u2014", "-"), NOTE + "more\n", NOTE + "\r\n",
     NOTE.replace("JnAM=", "JnAN=")],
)  # fmt: skip
def test_what_is_not_a_note_is_refused(note: str) -> None:
    with pytest.raises(InvalidValueError):
        SignedNote.from_text(note)


@pytest.mark.parametrize("key", ["", "a+b", KEY.replace("c74f", "c75f"), KEY.replace("Peter", "Pet er"), KEY[:-1]])
def test_a_damaged_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidValueError, match="prov key show"):
        VerifierKey.from_text(key)
