"""HDF5 files, looked at before anybody reads them: some can make the library read other files.

A file may hold links into other files, values that lie in files outside it, and views put together from other files. Whoever
loads it would get what lies on his own disk, under names chosen by somebody else.

References:
    HDF5 User's Guide, 4.3.2 external links, 5.3.3 external storage, and virtual datasets
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineagelog.adapters.formats.memory import check_fits
from lineagelog.domain.errors import UnsupportedFormatError

if TYPE_CHECKING:
    import h5py


def check_self_contained(file: h5py.File, name: str) -> int:
    """Make sure that nothing in a file leads out of it.

    Args:
        file: The open file.
        name: What messages call it.

    Returns:
        Bytes that its values take in memory.

    Raises:
        UnsupportedFormatError: It leads to another file; the text names the place and the file.
    """
    import h5py

    size_bytes = 0
    seen: set[int] = set()
    left: list[h5py.Group] = [file["/"]]
    while left:
        group = left.pop()
        for key in group:
            place = f"{group.name.rstrip('/')}/{key}"
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _leads_out(name, place, "a link", link.filename)
            if not isinstance(link, h5py.HardLink):
                # A soft link is a path in this file; what lies there is found without it.
                continue
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                left.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_dataset(item, name, place)
                size_bytes += item.nbytes
    return size_bytes


def check_loadable(file: h5py.File, name: str) -> None:
    """Make sure that a file leads nowhere else, and that its values fit into memory."""
    check_fits(name, check_self_contained(file, name))


def _check_dataset(dataset: Any, name: str, place: str) -> None:
    if dataset.external:
        raise _leads_out(name, place, "values stored", dataset.external[0][0])
    if dataset.is_virtual:
        outside = [source.file_name for source in dataset.virtual_sources() if source.file_name != "."]
        if outside:
            raise _leads_out(name, place, "a view", outside[0])


def _leads_out(name: str, place: str, what: str, target: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{name} is not self-contained: {place} is {what} in the other file {target!r}, which was not read; write the values "
        "into the file itself, or use cache() for a local path"
    )
