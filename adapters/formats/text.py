"""Text as it is, and values written as text: JSON and YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lineagelog.adapters.formats.base import Contents, Format
from lineagelog.adapters.formats.memory import check_fits
from lineagelog.domain.errors import StorageError, UnsupportedFormatError

DEPTH_LIMIT: Final = 200
"""Levels of YAML, beyond which it is no document that anybody wrote."""

EXPANSION_LIMIT: Final = 1_000_000
"""Values that YAML may stand for by aliases, beyond those that are written out."""


def _load_text(path: Path) -> str:
    check_fits(path.name, path.stat().st_size)
    return path.read_text(encoding="utf-8")


def _load_json(path: Path) -> Any:
    import json

    check_fits(path.name, path.stat().st_size)
    try:
        return json.loads(path.read_bytes())
    except RecursionError as exc:
        raise _too_deep(path) from exc


def _load_yaml(path: Path) -> Any:
    import yaml

    check_fits(path.name, path.stat().st_size)
    # The loader in C is ten times as fast; it knows no tags that make objects either.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = path.read_text(encoding="utf-8")
    depth = 0
    # It ends the process when it runs out of stack, so that the depth is looked at first.
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            raise _too_deep(path)
    value = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    _check_expansion(value, path.name)
    return value


def _too_deep(path: Path) -> UnsupportedFormatError:
    return UnsupportedFormatError(f"{path.name} is nested too deeply to be loaded; use cache() for a local path")


def _check_expansion(value: Any, name: str) -> None:
    """Refuse a value that is small only because parts of it stand for one another.

    Ten levels of ten aliases are ten thousand million values for everybody who walks through them.

    Raises:
        UnsupportedFormatError: Written out, it would be too large, or would never end.
    """
    sizes: dict[int, int] = {}
    open_ids: set[int] = set()
    left: list[tuple[Any, bool]] = [(value, False)]
    while left:
        item, is_done = left.pop()
        parts = list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else ()
        if not parts:
            continue
        if is_done:
            open_ids.discard(id(item))
            sizes[id(item)] = 1 + sum(sizes.get(id(part), 1) for part in parts)
        elif id(item) in open_ids:
            raise UnsupportedFormatError(f"{name} holds a value that contains itself; use cache() for a local path")
        elif id(item) not in sizes:
            open_ids.add(id(item))
            left.append((item, True))
            left += [(part, False) for part in parts if isinstance(part, dict | list)]
    if sizes.get(id(value), 1) > EXPANSION_LIMIT + 10 * len(sizes):
        raise UnsupportedFormatError(
            f"{name} stands for {sizes[id(value)]:.0e} values by aliases of aliases, which nothing could walk through; use cache() "
            "for a local path"
        )


def _write_json(obj: Any, destination: Path) -> Contents:
    import json

    try:
        text = json.dumps(obj, ensure_ascii=False, indent=2, allow_nan=False)
        again = json.loads(text)
    except (TypeError, ValueError, RecursionError) as exc:
        raise UnsupportedFormatError(
            f"the {type(obj).__name__} cannot be written as JSON: {exc}; convert the values, or save a file of your own"
        ) from exc
    _check_same(obj, again, "JSON")
    return _write(text + "\n", obj, destination)


def _write_yaml(obj: Any, destination: Path) -> Contents:
    import yaml

    try:
        text = yaml.safe_dump(obj, allow_unicode=True, sort_keys=False)
        again = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        raise UnsupportedFormatError(
            f"the {type(obj).__name__} cannot be written as YAML: {exc}; convert the values, or save a file of your own"
        ) from exc
    _check_same(obj, again, "YAML")
    return _write(text, obj, destination)


def _check_same(obj: Any, again: Any, fmt: str) -> None:
    if again != obj:
        raise UnsupportedFormatError(
            f"the {type(obj).__name__} would not read back from {fmt} as it is; keys must be texts, and sequences lists"
        )


def _write(text: str, obj: Any, destination: Path) -> Contents:
    try:
        destination.write_text(text, encoding="utf-8")
    except UnicodeEncodeError as exc:
        raise UnsupportedFormatError(
            f"the {type(obj).__name__} holds text that is no Unicode: {exc.reason}; convert it"
        ) from exc
    except OSError as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc
    return Contents(len(obj) if isinstance(obj, list) else None)


FORMATS: Final = (
    Format(
        name="JSON",
        suffixes=(".json",),
        types=("builtins.dict", "builtins.list"),
        load=_load_json,
        write=_write_json,
    ),
    Format(
        name="YAML",
        suffixes=(".yaml", ".yml"),
        types=("builtins.dict", "builtins.list"),
        load=_load_yaml,
        write=_write_yaml,
        extra="lineagelog[yaml]",
    ),
    Format(name="text", suffixes=(".txt", ".md", ".html", ".py", ".log"), load=_load_text),
    Format(name="SVG", suffixes=(".svg",), load=_load_text, kind="plot"),
    Format(name="PDF", suffixes=(".pdf",), kind="plot"),
)
