"""The SQL functions that queries use and that the two databases lack, or answer differently.

Both adapters provide them under the same names, so that a query means the same on both: `lineagelog_lower(text)` and
`lineagelog_regexp(pattern, text, ignore_case)`. SQLite has `lineagelog_number(text)` besides, for PostgreSQL's cast to a double.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final


def lower_text(text: str | None) -> str | None:
    """Lower the letters of a text one by one, whatever stands beside them.

    SQLite's `lower` knows ASCII alone. Python's looks at the end of a word to choose between the two small sigmas, and makes two
    characters of one capital (U+0130); then a part of a text would not be found in the whole.
    """
    if text is None or text.isascii():
        return text if text is None else text.lower()
    return text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def matches_pattern(pattern: str | None, text: str | None, ignore_case: int) -> int | None:
    """Tell whether a regular expression occurs in a text."""
    if pattern is None or text is None:
        return None
    return int(_pattern(pattern, ignore_case).search(text) is not None)


@lru_cache(maxsize=64)
def _pattern(pattern: str, ignore_case: int) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0)


SQLITE_FUNCTIONS: Final[tuple[tuple[str, int, Callable[..., Any]], ...]] = (
    ("lineagelog_lower", 1, lower_text),
    ("lineagelog_regexp", 3, matches_pattern),
    ("lineagelog_number", 1, float),
)
"""Name, number of arguments and Python function of each."""

POSTGRESQL_COLLATIONS: Final = ("pg_c_utf8", "und-x-icu", "default")
"""Collations that know the letters of Unicode, the best first: built in from version 17, else ICU's, else the database's own, which
knows them unless its locale is `C`.
"""


def postgresql_functions(collation: str) -> tuple[str, ...]:
    """Write the DDL of the functions for PostgreSQL.

    Args:
        collation: One of `POSTGRESQL_COLLATIONS` that the server has.
    """
    if collation not in POSTGRESQL_COLLATIONS:
        raise ValueError(f"{collation!r} is none of the collations {', '.join(POSTGRESQL_COLLATIONS)}")
    lowered = f"""lower(translate($1, U&'\\0130', 'i') COLLATE "{collation}")"""
    matched = (
        f"""CASE WHEN $3 = 1 THEN $2 COLLATE "{collation}" ~* $1 ELSE $2 COLLATE "{collation}" ~ $1 END::integer"""
    )
    bodies = {
        "lineagelog_lower(text) RETURNS text": f"translate({lowered}, U&'\\03C2', U&'\\03C3')",
        "lineagelog_regexp(text, text, integer) RETURNS integer": matched,
    }
    return tuple(
        f"CREATE OR REPLACE FUNCTION {head} LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT {body} $$"
        for head, body in bodies.items()
    )
