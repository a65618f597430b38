"""Images, as Pillow reads them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lineagelog.adapters.formats.base import Format
from lineagelog.domain.errors import UnsupportedFormatError

if TYPE_CHECKING:
    from PIL.Image import Image


def _load_image(path: Path) -> Image:
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns beyond its limit, and refuses beyond twice its limit; here one limit holds.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            opened = Image.open(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
            raise UnsupportedFormatError(
                f"{path.name} is an image of more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be meant to fill the "
                "memory; raise PIL.Image.MAX_IMAGE_PIXELS if it is not, or use cache() for a local path"
            ) from exc
    with opened as image:
        image.load()
        # Of several images in one file the first is taken; one that is alone has its values already.
        return image.copy() if getattr(image, "is_animated", False) else image


FORMATS: Final = (
    Format(
        name="image",
        suffixes=(".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp"),
        load=_load_image,
        kind="plot",
        extra="lineagelog[image]",
    ),
)
