"""What lies in a folder, on this machine or behind a URL: a tree with counts and sizes, listed without reading any file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog.domain.amount import n_bytes
from lineagelog.domain.errors import ObjectMissingError, StorageError, UnsupportedFormatError
from lineagelog.text import clean

if TYPE_CHECKING:
    from rich.tree import Tree

    from lineagelog.adapters.storage import Storage

MAX_DEPTH: Final = 6
MAX_FILES: Final = 50
_MAX_SUFFIXES: Final = 12


@dataclass(slots=True)
class Folder:
    """A folder, with all that lies below it counted and some of it named.

    Attributes:
        name: Its name; of the top of a tree, its address.
        n_folders: Folders in it, at any depth; those without a file do not count.
        n_files: Files in it, at any depth.
        size_bytes: Size of all these files.
        suffixes: File name extension to number of files.
        folders: Folders directly in it, by name; empty below the depth that was asked for.
        files: Files directly in it that are named, and their sizes in bytes.
        n_unnamed: Files directly in it that are not named, since there are too many.
        is_cut: It holds folders that are not named, since they lie too deep.
    """

    name: str
    n_folders: int = 0
    n_files: int = 0
    size_bytes: int = 0
    suffixes: Counter[str] = field(default_factory=Counter)
    folders: dict[str, Folder] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    n_unnamed: int = 0
    is_cut: bool = False

    @property
    def summary(self) -> str:
        """Counts, size and suffixes on one line."""
        folders = f"{self.n_folders:,} folder{'' if self.n_folders == 1 else 's'}"
        common = self.suffixes.most_common(_MAX_SUFFIXES)
        suffixes = [f"{count:,} {clean(suffix) or 'without suffix'}" for suffix, count in common]
        more = len(self.suffixes) - len(common)
        listed = ", ".join([*suffixes, *([f"{more:,} other suffixes"] if more else [])])
        return f"{folders}, {_files(self.n_files)}, {n_bytes(self.size_bytes)}" + (f": {listed}" if listed else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain values."""
        return {
            "name": self.name,
            "n_folders": self.n_folders,
            "n_files": self.n_files,
            "size_bytes": self.size_bytes,
            "suffixes": dict(self.suffixes),
            "folders": [folder.to_dict() for folder in self.folders.values()],
            "files": [{"name": name, "size_bytes": size} for name, size in self.files.items()],
            "n_unnamed": self.n_unnamed,
            "is_cut": self.is_cut,
        }

    def to_tree(self) -> Tree:
        """Lay the tree out for a terminal or a notebook; control characters in names are shown as escapes."""
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree(Text(clean(self.name), style="bold"))
        waiting = [(self, tree)]
        while waiting:
            folder, node = waiting.pop()
            for inner in folder.folders.values():
                line = Text(f"{clean(inner.name)}/", style="bold")
                line.append(f"  {_files(inner.n_files)}, {n_bytes(inner.size_bytes)}", style="dim")
                waiting.append((inner, node.add(line)))
            for name, size in folder.files.items():
                node.add(Text(clean(name)).append(f"  {n_bytes(size)}", style="dim"))
            if folder.n_unnamed:
                node.add(Text(f"… and {folder.n_unnamed:,} more files", style="dim"))
            if folder.is_cut:
                node.add(Text("…", style="dim"))
        return tree


def read_tree(
    storage: Storage, path: str | None = None, *, max_depth: int = MAX_DEPTH, max_files: int = MAX_FILES
) -> Folder:
    """List a folder in a storage location.

    Args:
        storage: The location.
        path: The folder, the root by default.
        max_depth: Folders deeper than this are counted, not named.
        max_files: So many files of each folder are named.

    Raises:
        ObjectMissingError: Nothing lies there.
        UnsupportedFormatError: A file lies there.
    """
    where = storage.root if path is None else storage.url(path)
    if storage.type == "local":
        place = Path(storage.root) if path is None else storage.local_path(path)
        assert place is not None  # a local location has a local path
        if not place.is_dir():
            raise _no_folder(where, is_file=place.exists())
        return build_tree(where, _local_files(place), max_depth=max_depth, max_files=max_files)
    start = f"{path}/" if path is not None else ""
    files = ((found.path.removeprefix(start), found.size_bytes) for found in storage.list_files(path))
    tree = build_tree(where, files, max_depth=max_depth, max_files=max_files)
    if not tree.n_files:
        raise _no_folder(where, is_file=path is not None and storage.exists(path))
    return tree


def build_tree(
    name: str, files: Iterable[tuple[str, int]], *, max_depth: int = MAX_DEPTH, max_files: int = MAX_FILES
) -> Folder:
    """Build a tree from the paths of files, relative to it, and their sizes in bytes."""
    from lineagelog.adapters.formats import suffix_of

    top = Folder(name)
    known: set[str] = set()
    for path, size in files:
        *parents, file_name = path.split("/")
        suffix = suffix_of(file_name)
        chain = [top]
        for depth, part in enumerate(parents, start=1):
            place = "/".join(parents[:depth])
            if place not in known:
                known.add(place)
                for folder in chain:
                    folder.n_folders += 1
            if depth > max_depth:
                chain[-1].is_cut = True
                continue
            chain.append(chain[-1].folders.setdefault(part, Folder(part)))
        for folder in chain:
            folder.n_files += 1
            folder.size_bytes += size
            folder.suffixes[suffix] += 1
        if len(parents) > max_depth:
            continue
        if len(chain[-1].files) < max_files:
            chain[-1].files[file_name] = size
        else:
            chain[-1].n_unnamed += 1
    return top


def show_tree(folder: Folder) -> None:
    """Print a tree on the terminal, or show it in a notebook."""
    from rich.console import Console

    from lineagelog.lineage import in_notebook

    console = Console(force_jupyter=True) if in_notebook() else Console(soft_wrap=True)
    console.print(folder.summary, markup=False, highlight=False)
    console.print(folder.to_tree())


def view_tree(
    path: str | os.PathLike[str],
    *,
    max_depth: int = MAX_DEPTH,
    max_files: int = MAX_FILES,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Print what lies in a folder, on this machine or behind a URL such as `s3://bucket/prefix`, without reading any file.

    Args:
        path: The folder.
        max_depth: Folders deeper than this are counted, not named.
        max_files: So many files of each folder are named.
        options: Passed on to the file system of a URL, such as `{"anon": True}` for a public bucket.

    Raises:
        ObjectMissingError: Nothing lies there.
        UnsupportedFormatError: A file lies there.
    """
    from lineagelog.adapters.storage import open_storage

    show_tree(read_tree(open_storage(os.fspath(path), options=options), max_depth=max_depth, max_files=max_files))


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _local_files(folder: Path) -> Iterator[tuple[str, int]]:
    """List files by path and size, in the order of their names; a link is listed and not followed."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(f"{parent}/{name}")]  # noqa: PTH114 - names may be broken text
        folders[:] = sorted(set(folders) - set(links))
        inner = parent[len(str(folder)) :].lstrip("/")
        for name in sorted(names + links):
            try:
                size = os.lstat(f"{parent}/{name}").st_size
            except FileNotFoundError:
                continue
            yield (f"{inner}/{name}" if inner else name), size


def _no_folder(where: str, *, is_file: bool) -> StorageError:
    if is_file:
        return UnsupportedFormatError(f"{where} is a file, not a folder; name the folder that it lies in")
    return ObjectMissingError(f"there is no folder {where}, or nothing in it; check the address")
