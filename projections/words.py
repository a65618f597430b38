"""The words by which a search finds a text: where they begin, and in which form they are compared.

A word begins where letters or digits begin, and within them at a capital after a small letter, at the last of several capitals
before a small one, and between letters and digits: `atlas` finds `TcellAtlas2`, `seq` finds `RNASeq`. In scripts that put no
space between words every character begins one. A text is found by the beginning of a word, whatever the case; signs in between
do not matter.

The words are made in Python, when an event is projected and when a search is written, so that they are the same on both
databases.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_WORDS: Final = 200
"""Words kept of one field; those that come later are not found."""

MAX_WORD_LENGTH: Final = 64
"""Characters of a word that are kept and compared."""

_MAX_TEXT_LENGTH: Final = 10_000
# A checksum changes between letters and digits all the time; nobody looks for a part of one.
_MAX_BEGINNINGS: Final = 8
# The oldest block of the scripts that are written without spaces, CJK Radicals Supplement; Hangul comes with them.
_FIRST_UNSPACED: Final = 0x2E80

# Both are matched against the kinds of the characters, see `_Kinds`. The second stops at each place where a word begins, and
# holds the word as its group.
_RUN: Final = re.compile("i+|[9Aa]+")
_LENGTH: Final = f"{{1,{MAX_WORD_LENGTH}}}"
_BEGINNING: Final = re.compile(f"(?=(i{_LENGTH}|[9Aa]{_LENGTH}))(?:9+|A+(?=Aa)|A?a+|A+|i)")

# The same on the characters themselves, where there are no others than those of ASCII: most names, and three times as fast.
_ASCII_RUN: Final = re.compile("[0-9A-Za-z]+")
_ASCII_BEGINNING: Final = re.compile(f"(?=([0-9A-Za-z]{_LENGTH}))(?:[0-9]+|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+)")


class _Kinds(dict[int, str]):
    """Code point to the kind of its character: `9` a number, `A` a capital, `a` another letter or a mark, `i` a letter of a script
    without spaces, and a space for all that stands between words.
    """

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        if category == "Lo" and code >= _FIRST_UNSPACED:
            kind = "i"
        elif category in ("Lu", "Lt"):
            kind = "A"
        else:
            kind = {"N": "9", "L": "a", "M": "a"}.get(category[0], " ")
        self[code] = kind
        return kind


_KINDS: Final = _Kinds()


def words_of(text: str) -> list[str]:
    """Return the words under which a text is found, each once: from every place where one begins to the end of its letters and
    digits, folded and cut.
    """
    if text.isascii():
        found = _ASCII_BEGINNING.findall(text, 0, _MAX_TEXT_LENGTH)
        # Too few words begin inside of others for any of them to have too many.
        if len(found) - len(_ASCII_RUN.findall(text, 0, _MAX_TEXT_LENGTH)) < _MAX_BEGINNINGS:
            return list(dict.fromkeys([word.lower() for word in found]))[:MAX_WORDS]
    plain, kinds = _read(text)
    words: dict[str, None] = {}
    reached = n_beginnings = 0
    for beginning in _BEGINNING.finditer(kinds):
        start, end = beginning.span(1)
        n_beginnings = n_beginnings + 1 if start == reached and kinds[start - 1] != "i" else 1
        reached = beginning.end()
        if n_beginnings <= _MAX_BEGINNINGS or kinds[start] == "i":
            words[_fold(plain, start, end)] = None
            if len(words) == MAX_WORDS:
                break
    return list(words)


def searched_words(text: str) -> list[tuple[str, str]]:
    """Take a searched text apart, each word as it was written and as it is compared."""
    plain, kinds = _read(text)
    return [(plain[slice(*run.span())], _fold(plain, *run.span())) for run in _RUN.finditer(kinds)]


def _read(text: str) -> tuple[str, str]:
    """Bring a text to one form, and tell the kind of each character."""
    text = text[:_MAX_TEXT_LENGTH]
    if not text.isascii():
        # Case folding would make two characters of the capital I with a dot, and Istanbul could not be found.
        text = unicodedata.normalize("NFKC", text).replace("\u0130", "I")
    return text, text.translate(_KINDS)


def _fold(text: str, start: int, end: int) -> str:
    return text[start : min(end, start + MAX_WORD_LENGTH)].casefold()[:MAX_WORD_LENGTH]
