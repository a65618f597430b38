"""Signatures are those of the specification, and a wrong one of a known key spoils a note."""

from __future__ import annotations

import pytest

from lineagelog.adapters.signing import SigningKey, signed_by
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.note import NoteSignature, SignedNote, VerifierKey

GO_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"


def test_the_example_of_another_implementation_is_signed_alike() -> None:
    key = SigningKey.from_text(GO_KEY)
    assert key.verifier.to_text() == GO_VERIFIER
    note = key.sign(GO_TEXT)
    assert note.to_text().endswith(
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert signed_by(note, [VerifierKey.from_text(GO_VERIFIER)]) == key.verifier


def test_a_key_reads_back_and_is_not_shown() -> None:
    key = SigningKey.generate("lineagelog/x")
    assert SigningKey.from_text(key.to_text()) == key
    assert str(key.seed) not in repr(key)
    with pytest.raises(InvalidValueError) as caught:
        SigningKey.from_text(key.to_text().replace("+AQ", "+AB").replace("+AR", "+AB")[:-3])
    assert key.to_text().rpartition("+")[2][:10] not in str(caught.value)


def test_unknown_signers_are_passed_over_and_a_wrong_signature_spoils_the_note() -> None:
    one, two = SigningKey.generate("a"), SigningKey.generate("b")
    right, other = one.sign("text\n").signatures[0], two.sign("text\n").signatures[0]
    wrong = NoteSignature(right.name, right.key_id, bytes(64))
    assert signed_by(SignedNote("text\n", (other, right)), [one.verifier]) == one.verifier
    assert signed_by(SignedNote("text\n", (other,)), [one.verifier]) is None
    assert signed_by(SignedNote("text\n", (right, wrong)), [one.verifier]) is None
    assert signed_by(SignedNote("test\n", (right,)), [one.verifier]) is None
