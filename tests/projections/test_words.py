"""Words are where people expect them, and a search gives, on both databases, what plain Python gives over the same rows."""

from __future__ import annotations

import random
import unicodedata
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.verification import verify_log
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, NewEvent
from lineagelog.domain.ids import Id, new_id, new_uid, versioned_uid
from lineagelog.domain.transform import TransformRegistered, TransformUpdated
from lineagelog.projections.functions import lower_text
from lineagelog.projections.query import Query
from lineagelog.projections.registry import TRANSFORM
from lineagelog.projections.words import MAX_WORD_LENGTH, MAX_WORDS, searched_words, words_of

PARTS = (
    "iris", "Iris", "IRIS", "Straße", "STRASSE", "ÉCLAIR", "éclair", "e\u0301clair", "İstanbul", "ΟΔΟΣ", "οδος", "ﬁle", "Ǆ", "ǅ",
    "𐐀", "日本語", "テキスト", "细胞", "मराठी", "🧬", "x²", "\uff12\uff10", "№5", "TcellAtlas2", "RNASeq", "v2.1", "0001", "csv",
    "ab12cd", "a" * 70, "K", "100%", "it's", "_x", "", "ĸ", "a\u0308\u0301b", "Ⅷ", "word" * 20, "\U000e0001",
)  # fmt: skip
SEPARATORS = ("", "", " ", "/", "_", "-", ".", "  ", ",", "\t", "\u00a0", "·")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TcellAtlas2", ["tcellatlas2", "atlas2", "2"]),
        ("RNASeq_v2", ["rnaseq", "seq", "v2", "2"]),
        ("data/0000001.csv", ["data", "0000001", "csv"]),
        ("ﬁle \uff37ide STRASSE Straße", ["file", "wide", "strasse"]),
        ("İstanbul", ["istanbul"]),
        ("单细胞 data", ["单细胞", "细胞", "胞", "data"]),
        ("मराठी भाषा", ["मराठी", "भाषा"]),
        ("%_- 🧬", []),
        ("", []),
        ("x" * 65, ["x" * 64]),
        ("3f2a9c1e5b7d", ["3f2a9c1e5b7d", "f2a9c1e5b7d", "2a9c1e5b7d", "a9c1e5b7d", "9c1e5b7d", "c1e5b7d", "1e5b7d", "e5b7d"]),
    ],
)  # fmt: skip
def test_words_begin_at_letters_capitals_and_numbers(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_long_text_gives_a_bounded_number_of_words() -> None:
    words = words_of(" ".join(f"w{n}x" * 30 for n in range(10_000)))
    assert len(words) == MAX_WORDS
    assert max(map(len, words)) == MAX_WORD_LENGTH
    assert words_of("same " * 10_000) == ["same"]


texts = st.lists(st.tuples(st.sampled_from(PARTS) | st.text(max_size=3), st.sampled_from(SEPARATORS)), max_size=6).map(
    lambda pairs: "".join(part + separator for part, separator in pairs)
)


@settings(deadline=None)
@given(texts)
def test_words_are_those_of_the_definition(text: str) -> None:
    assert words_of(text) == list(defined_words(text))
    assert [folded for _, folded in searched_words(text)] == [word for _, word in defined_searched(text)]


@pytest.mark.parametrize("seed", [1])
def test_a_search_agrees_with_its_definition_after_changes_and_a_rebuild(log: EventLog, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)

    def text(*, short: bool = False) -> str:
        if chance.random() < 0.05 and not short:
            return "".join(f"{chance.choice(PARTS)}{n} " for n in range(2_000))[:10_000]
        return "".join(chance.choice(PARTS) + chance.choice(SEPARATORS) for _ in range(chance.randrange(5)))

    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "uid": versioned_uid(new_uid(12), 0),
            "key": text(short=True) or "k",
            "description": text() or None,
        }
        for _ in range(60)
    ]
    log.append([
        registered(row["id"], uid=row["uid"], version_number=0, type="script", key=row["key"], description=row["description"])
        for row in rows
    ])  # fmt: skip

    @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
    @given(texts | st.sampled_from([row["uid"][:n] for row in rows[:9] for n in (3, 4, 8, 16)]), st.booleans())
    def check(searched: str, chained: bool) -> None:
        if "\x00" in searched:
            with pytest.raises(InvalidValueError):
                Query(TRANSFORM).search(searched)
            return
        query = Query(TRANSFORM).search(searched)
        expected = defined_search(rows, searched)
        if chained:
            query = query.exclude(key__icontains="iris").slice(1, 5)
            expected = [row for row in expected if "iris" not in lower_text(row["key"])][1:6]  # type: ignore[operator]
        sql, parameters = query.compile(log.database.dialect, fields=("uid",))
        assert [uid for (uid,) in log.database.read(sql, parameters)] == [row["uid"] for row in expected]
        ((count,),) = log.database.read(*query.compile_count(log.database.dialect))
        assert count == len(expected)

    check()
    versions: dict[Id, int] = {}
    changes = []
    for _ in range(100):
        row = chance.choice(rows)
        old, row["description"] = row["description"], chance.choice((text() or None, row["description"], None))
        versions[row["id"]] = versions.get(row["id"], 1) + 1
        fact = TransformUpdated(changes={"description": Change(old, row["description"])})
        changes.append(NewEvent(stream=row["id"], version=versions[row["id"]], fact=fact))
        if chance.random() < 0.2:
            # A record and its changes may come in one append, in any order with those of others.
            new = {"id": new_id(), "uid": versioned_uid(new_uid(12), 0), "key": "%", "description": None}
            rows.append(new)
            changes.append(registered(new["id"], uid=new["uid"], version_number=0, type="script", key="%"))
    log.append(changes)
    check()
    assert verify_log(log.database).problems == ()
    log.rebuild()
    assert verify_log(log.database).problems == ()
    check()


def registered(stream: Id, **fact: Any) -> NewEvent:
    return NewEvent(stream=stream, version=1, fact=TransformRegistered(**fact))


def kind_of(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Lo" and ord(character) >= 0x2E80:
        return "unspaced"
    if category in ("Lu", "Lt"):
        return "capital"
    return {"L": "letter", "M": "letter", "N": "number"}.get(category[0], "")


def runs_of(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text[:10_000]).replace("İ", "I")
    runs = [""]
    for character in plain:
        kind = kind_of(character)
        if not kind:
            runs.append("")
        elif runs[-1] and (kind == "unspaced") != (kind_of(runs[-1][-1]) == "unspaced"):
            runs.append(character)
        else:
            runs[-1] += character
    return [run for run in runs if run]


def begins_word(run: str, at: int) -> bool:
    kinds = [kind_of(character) for character in run]
    if at == 0 or kinds[at] == "unspaced":
        return True
    before, here, after = kinds[at - 1], kinds[at], kinds[at + 1] if at + 1 < len(run) else ""
    if here == "capital":
        return before != "capital" or after == "letter"
    return (here == "number") != (before == "number")


@cache
def defined_words(text: str) -> dict[str, None]:
    words: dict[str, None] = {}
    for run in runs_of(text):
        beginnings = [at for at in range(len(run)) if begins_word(run, at)]
        for at in beginnings if kind_of(run[0]) == "unspaced" else beginnings[:8]:
            if len(words) == 200:
                return words
            words[run[at : at + 64].casefold()[:64]] = None
    return words


def defined_searched(text: str) -> list[tuple[str, str]]:
    return [(run, run[:64].casefold()[:64]) for run in runs_of(text)]


def defined_search(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    phrase = " ".join(text.split())
    if not phrase:
        return rows
    words = defined_searched(phrase)[:10]

    def found(row: dict[str, Any], written: str, folded: str) -> bool:
        held = {word for name in ("key", "description") for word in defined_words(row[name] or "")}
        of_uid = len(written) >= 4 and written.isascii() and row["uid"].startswith(written)
        return of_uid or any(word.startswith(folded) for word in held)

    def rank(row: dict[str, Any]) -> int:
        lowered = str(lower_text(phrase))
        fields = [str(lower_text(row[name])) for name in ("key", "description") if row[name] is not None]
        if lowered in fields or phrase == row["uid"]:
            return 0
        if any(field.startswith(lowered) for field in fields) or row["uid"].startswith(phrase):
            return 1
        return 2 if (phrase.isascii() and phrase.isalnum()) or any(lowered in field for field in fields) else 3

    matching = [row for row in rows if words and all(found(row, *word) for word in words)]
    return sorted(matching, key=rank)
