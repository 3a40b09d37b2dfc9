"""Pictures and masks at the door: whatever a user hands over becomes plain pixels, or an error that names it."""

from __future__ import annotations

import glob
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from referent.errors import BadReferenceError, PictureError
from referent.files import expanded
from referent.rle import BadMaskError, decode, read_segmentation

if TYPE_CHECKING:
    from referent.reference import Example, PictureSource
    from referent.rle import RLE

MAX_PIXELS = 150_000_000
"""More than any common camera's picture; decoded to RGB it takes 450 MB. Checked on the header, before decoding."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What is opened. Pillow knows more, among them EPS, which would run Ghostscript on the user's file."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".jp2"})
"""What `find_pictures` takes from a folder."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})

_filters_lock = threading.Lock()


def read_picture(source: PictureSource) -> Image.Image:
    """A picture in RGB, upright.

    The first frame of an animation; EXIF rotation applied; transparent pixels on white; 16-bit grey scaled to 8 bit.

    Args:
        source: path, the bytes of a picture file, PIL image, or uint8 array: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W)
            grey.

    Raises:
        PictureError: missing, unreadable, truncated, empty, not a picture, more than `MAX_PIXELS`, or an array of
            another shape or type. The message names the source.
    """
    name = _name(source)
    if isinstance(source, np.ndarray):
        return _to_rgb(Image.fromarray(_checked_pixels(source, name)), name)
    image, orientation = _decoded(source, name)
    rgb = _to_rgb(image, name)
    upright = rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb
    # Read once more, it must not be turned once more.
    upright.info.clear()
    return upright


def read_mask(source: PictureSource | RLE, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask: of its two values the larger is the target; of a single value, 0 is none of the picture, any other all.

    Args:
        source: path, bytes or PIL image with one channel (or equal channels; palette indices count, not colours), a
            (H, W) array of bool, integers or floats, or COCO's RLE, of which the ones are the target.
        size: (height, width) of the picture it belongs to.

    Returns:
        (H, W) bool.

    Raises:
        PictureError: unreadable (as `read_picture`), of another size, coloured, of more than two values, NaN, or an
            RLE of nothing.
    """
    if isinstance(source, dict):
        try:
            return decode(read_segmentation(source, size))
        except BadMaskError as error:
            raise PictureError(f"mask: {error}") from error
    name = _name(source)
    if isinstance(source, np.ndarray):
        values = source
        if values.ndim != 2 or values.dtype.kind not in "buif":
            raise PictureError(f"{name}: expected a (H, W) array of bool or numbers, found {_described(values)}")
    else:
        image, orientation = _decoded(source, name)
        values = _one_channel(image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image, name)
    if values.shape != tuple(size):
        raise PictureError(f"{name}: expected a mask of {_by(size)} as its picture, found {_by(values.shape)}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise PictureError(f"{name}: expected a mask of two values, found NaN")
    levels = np.unique(values)
    if len(levels) > 2:
        found = f"{len(levels)} ({', '.join(str(level) for level in levels[:4])}, ...)"
        raise PictureError(f"{name}: expected a mask of two values, found {found}; threshold it, and save it as PNG")
    target: NDArray[np.bool_] = values == levels[-1] if len(levels) == 2 else values != 0
    return target


def read_example(example: Example) -> tuple[Image.Image, NDArray[np.bool_]]:
    """An example's picture, RGB and upright, and its mask, (H, W) bool.

    Raises:
        PictureError: the picture or the mask cannot be used, or they differ in size.
        BadReferenceError: the mask is empty.
    """
    picture = read_picture(example.picture)
    try:
        mask = read_mask(example.mask, (picture.height, picture.width))
    except PictureError as error:
        # Run lengths have no file to be named by.
        raise PictureError(f"{example}: {error}") if isinstance(example.mask, dict) else error from None
    if not mask.any():
        raise BadReferenceError(f"{example}: expected a mask of something, found an empty one ({_name(example.mask)})")
    return picture, mask


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) that `read_picture` would give, from the header alone: a truncated file goes unnoticed.

    Raises:
        PictureError: missing, unreadable, not a picture, more than `MAX_PIXELS`.
    """
    with _opened(path, _name(path)) as image:
        width, height = image.size
        return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)


def find_pictures(inputs: Iterable[str | Path], stdin: TextIO | None = None) -> Iterator[Path]:
    """The picture files that `inputs` mean, in the order given, each once.

    A folder gives the picture files directly in it, by suffix, sorted; a glob ("photos/**/*.jpg") its matching files,
    sorted; `-` the paths on `stdin`, one a line. What leads nowhere (no such file, an empty folder, a glob without
    matches) is given back as it is, so that `read_picture` names it and the others still run.

    Args:
        inputs: files, folders, globs, `-`.
        stdin: read for `-`; the process's standard input where None.
    """
    seen: set[Path] = set()
    for item in inputs:
        if str(item) == "-":
            lines = (line.strip("\r\n") for line in stdin or sys.stdin)
            found: Iterable[Path] = (path for line in lines if line.strip() for path in _expanded(line))
        else:
            found = _expanded(item)
        for path in found:
            if path not in seen:
                seen.add(path)
                yield path


def _expanded(item: str | Path) -> list[Path]:
    path = expanded(item)
    if _exists(path) and path.is_dir():
        inside = sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES)
        return [child for child in inside if child.is_file() and not child.name.startswith(".")] or [path]
    # A file whose very name holds [ or * is that file. (`Path.glob` would need absolute patterns taken apart.)
    if not _exists(path) and glob.has_magic(str(path)):
        matches = sorted(Path(match) for match in glob.iglob(str(path), recursive=True))  # noqa: PTH207
        return [match for match in matches if match.is_file()] or [path]
    return [path]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a null byte in it
        return False


def _name(source: object) -> str:
    match source:
        case str() | Path():
            return str(source) or "''"
        case bytes() | bytearray() | memoryview():
            return f"picture of {len(source)} bytes"
        case Image.Image():
            return str(getattr(source, "filename", "")) or "PIL image"
        case np.ndarray():
            return "picture array"
    raise PictureError(f"picture: expected a path, bytes, PIL image or array, found {type(source).__name__}")


def _decoded(source: PictureSource, name: str) -> tuple[Image.Image, int]:
    """Pixels of the first frame, and the EXIF orientation still to be applied."""
    if isinstance(source, Image.Image):
        image = source
        _check_size(image, name)
        orientation = _orientation(image)
        _load(image, name)
        return image, orientation
    with _opened(source, name) as image:
        orientation = _orientation(image)
        _load(image, name)
        return image, orientation


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow warns of sizes that are allowed here and of damage that does not matter or is an error in the end."""
    # The lock, as the filters belong to the whole process.
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(source: Any, name: str) -> Image.Image:
    """The header of a picture file, checked."""
    if isinstance(source, (str, Path)):
        content: Any = expanded(source)
        _check_file(content, name)
    else:
        content = BytesIO(source)
        if not len(source):
            raise PictureError(f"{name}: expected a picture file's content, found nothing")
    try:
        with _without_warnings():
            image = Image.open(content, formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError(f"{name}: expected a picture (JPEG, PNG, WebP, TIFF, ...), found something else") from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found more") from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from error
    try:
        _check_size(image, name)
    except PictureError:
        image.close()
        raise
    return image


def _check_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # no permission, a name too long, a null byte in it
        raise PictureError(f"{name}: cannot be read ({_reason(error)})") from None
    if path.is_dir():
        raise PictureError(f"{name}: expected a picture file, found a folder")
    # A pipe or device would block or never end.
    if not path.is_file():
        raise PictureError(f"{name}: expected a picture file, found a device or pipe")
    if status.st_size == 0:
        raise PictureError(f"{name}: expected a picture file, found an empty file (0 bytes)")


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(f"{name}: expected at least one pixel, found {width} x {height}")
    if width * height > MAX_PIXELS:
        raise PictureError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found {width} x {height}; shrink it first")


def _load(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except Exception as error:  # decoders raise anything on hostile bytes
        raise PictureError(f"{name}: damaged or cut off ({_reason(error)})") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 for upright. To be asked before the pixels are loaded."""
    # Pillow turns a TIFF on loading, and reports the turned size before. The base class's method is called because
    # PNG's own decodes the whole picture, in search of an EXIF chunk behind the pixels.
    if image.format == "TIFF":
        return 1
    try:
        with _without_warnings():
            return int(Image.Image.getexif(image).get(_ORIENTATION_TAG, 1))
    except Exception:  # a damaged EXIF block says nothing; viewers show the picture all the same
        return 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bit(np.asarray(image), name)).convert("RGB")
    try:
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
        return image.convert("RGB")
    except (ValueError, OSError) as error:
        raise PictureError(f"{name}: colours of mode {image.mode} cannot be turned into RGB") from error


def _eight_bit(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """16-bit grey to 8 bit. Of 32-bit integers and floats nobody can tell the white point."""
    low, high = values.min(), values.max()
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        sixteen = values.dtype.itemsize == 2 or high > 255
        return (np.round(values / 257) if sixteen else values).astype(np.uint8)
    raise PictureError(f"{name}: expected 8 or 16 bits a channel, found {values.dtype} from {low} to {high}")


def _checked_pixels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    expected = f"{name}: expected uint8 (H, W, 3)"
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise PictureError(f"{expected}, found {_described(array)} with NaN")
    if array.dtype != np.uint8:
        hint = "; multiply by 255 and convert" if array.dtype.kind == "f" else ""
        raise PictureError(f"{expected}, found {_described(array)}{hint}")
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[2] not in (3, 4):
        raise PictureError(f"{expected}, found {_described(array)}; move the channels to the end")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"{expected}, found {_described(array)}")
    if array.size == 0:
        raise PictureError(f"{expected} with at least one pixel, found {_described(array)}")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise PictureError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found {_by(array.shape)}; shrink it first")
    return np.ascontiguousarray(array)


def _one_channel(image: Image.Image, name: str) -> NDArray[Any]:
    """The values of a mask picture, palette indices as they are."""
    bands = image.getbands()
    values = np.asarray(image)
    if values.ndim == 2:
        return values
    if bands[-1] in ("A", "a"):
        if (values[..., -1] != values[0, 0, -1]).any():
            raise PictureError(f"{name}: expected a mask of one channel, found transparency; save it as grey PNG")
        values = values[..., :-1]
    if (values != values[..., :1]).any():
        raise PictureError(f"{name}: expected a mask of one channel, found colours ({image.mode}); save it as grey PNG")
    return values[..., 0]


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
