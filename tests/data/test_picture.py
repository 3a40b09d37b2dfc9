"""Pictures and masks at the door: each kind of file a user may hand over."""

from __future__ import annotations

import errno
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from referent import picture
from referent.errors import PictureError
from referent.picture import find_pictures, picture_size, read_mask, read_picture
from referent.rle import encode

RED = (200, 30, 40)


def gradient(height: int = 20, width: int = 30) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 5, columns * 5, rows + columns], axis=-1).astype(np.uint8)


def close(image: Image.Image, expected: np.ndarray, tolerance: int = 0) -> bool:
    pixels = np.asarray(image).astype(int)
    return pixels.shape == expected.shape and bool((abs(pixels - expected.astype(int)) <= tolerance).all())


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes of pixels do not have."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


# What is read


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_lossless_file_is_read_as_it_is(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"picture.{format.lower()}"
    Image.fromarray(gradient()).save(path, format)
    read = read_picture(path)
    assert read.mode == "RGB"
    assert close(read, gradient())
    assert picture_size(path) == (20, 30)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_a_lossy_file_is_read_nearly_as_it_was(format: str) -> None:
    read = read_picture(encoded(Image.fromarray(gradient()), format, quality=95))
    assert close(read, gradient(), tolerance=24)


def test_path_text_bytes_image_and_array_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(gradient()).save(path)
    sources = [path, str(path), path.read_bytes(), Image.open(path), gradient()]
    assert all(close(read_picture(source), gradient()) for source in sources)


def test_a_picture_of_the_user_is_not_changed() -> None:
    mine = Image.new("RGBA", (4, 3), (*RED, 128))
    read_picture(mine)
    assert mine.mode == "RGBA"
    assert mine.getpixel((0, 0)) == (*RED, 128)


def test_sixteen_bit_grey_is_scaled_to_eight() -> None:
    values = np.array([[0, 257, 65535 // 2, 65535]], dtype=np.uint16)
    read = np.asarray(read_picture(encoded(Image.fromarray(values), "PNG")))
    assert read[0, :, 0].tolist() == [0, 1, 127, 255]
    assert (read == read[..., :1]).all()


def test_sixteen_bit_grey_in_the_other_byte_order_is_read_alike() -> None:
    values = np.array([[0, 257, 65535]], dtype=">u2")
    big_endian = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert np.asarray(read_picture(big_endian))[0, :, 0].tolist() == [0, 1, 255]


def test_grey_of_unknown_white_point_is_refused() -> None:
    with pytest.raises(PictureError, match=r"16 bits a channel, found float32 from 0.0 to 2.5"):
        read_picture(encoded(Image.fromarray(np.array([[0.0, 2.5]], dtype=np.float32)), "TIFF"))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (8, 6), "white").convert(mode)
    assert close(read_picture(image), np.full((6, 8, 3), 255), tolerance=2)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    read = read_picture(encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=100))
    assert close(read, np.broadcast_to(RED, (16, 16, 3)), tolerance=4)


def test_transparent_pixels_lie_on_white() -> None:
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0, :, 3] = [0, 128, 255]
    read = np.asarray(read_picture(encoded(Image.fromarray(pixels), "PNG")))
    assert read[0, :, 0].tolist() == [255, 127, 0]


def test_a_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((1, 0), 1)
    read = np.asarray(read_picture(encoded(image, "PNG", transparency=0)))
    assert read.tolist() == [[[255, 255, 255], list(RED)]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_rotated_picture_is_turned_upright_and_its_size_is_known_from_the_header(
    tmp_path: Path, format: str, orientation: int
) -> None:
    upright = np.zeros((24, 40, 3), dtype=np.uint8)
    upright[:12, :20] = 255
    stored = Image.fromarray(upright)
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    if undo in picture._UPRIGHT:
        stored = stored.transpose(picture._UPRIGHT[undo])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned"
    stored.save(path, format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
    assert close(read_picture(path), upright, tolerance=40)
    assert picture_size(path) == (24, 40)
    assert close(read_picture(Image.open(path)), upright, tolerance=40)


def test_damaged_exif_does_not_hide_the_picture() -> None:
    content = encoded(Image.fromarray(gradient()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk")
    assert close(read_picture(content), gradient())


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, format: str) -> None:
    path = tmp_path / "moving"
    first, second = Image.new("RGB", (9, 7), "red"), Image.new("RGB", (9, 7), "blue")
    options = {"lossless": True} if format == "WEBP" else {}
    first.save(path, format, save_all=True, append_images=[second], **options)
    assert close(read_picture(path), np.broadcast_to((255, 0, 0), (7, 9, 3)))


def test_arrays_may_be_grey_have_alpha_or_be_views() -> None:
    assert close(read_picture(np.full((2, 3), 7, dtype=np.uint8)), np.full((2, 3, 3), 7))
    assert close(read_picture(np.zeros((2, 3, 4), dtype=np.uint8)), np.full((2, 3, 3), 255))
    assert close(read_picture(gradient()[::-1, ::2]), gradient()[::-1, ::2])


def test_one_pixel_is_a_picture() -> None:
    assert close(read_picture(np.full((1, 1, 3), 9, dtype=np.uint8)), np.full((1, 1, 3), 9))


# What is refused, by name


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.jpg"
    with pytest.raises(PictureError, match=r"nowhere\.jpg: no such file"):
        read_picture(path)
    with pytest.raises(PictureError, match=r"nowhere\.jpg: no such file"):
        picture_size(path)


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(gradient()).save(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))  # root may read everything

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(PictureError, match=r"secret\.png: cannot be read \(Permission denied\)"):
        read_picture(path)


@pytest.mark.parametrize("name", ["a" * 5000, "nul\0byte.png"])
def test_an_impossible_file_name_is_an_error_of_ours(name: str) -> None:
    with pytest.raises(PictureError, match="cannot be read"):
        read_picture(name)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="found a folder"):
        read_picture(tmp_path)
    with pytest.raises(PictureError, match="found a folder"):
        read_picture("")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="found a device or pipe"):
        read_picture(tmp_path / "pipe.jpg")


def test_a_text_file_named_jpg_is_not_a_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("milk, bread, eggs")
    with pytest.raises(PictureError, match=r"notes\.jpg: expected a picture .* found something else"):
        read_picture(tmp_path / "notes.jpg")


def test_postscript_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(PictureError, match="found something else"):
        read_picture(tmp_path / "page.jpg")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(PictureError, match=r"empty\.png: .*\(0 bytes\)"):
        read_picture(tmp_path / "empty.png")
    with pytest.raises(PictureError, match="found nothing"):
        read_picture(b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_a_truncated_file_is_refused_at_any_length(tmp_path: Path, format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), format)
    path = tmp_path / "cut"
    for length in (4, 20, 60, len(content) // 4, len(content) // 2, len(content) * 3 // 4):
        path.write_bytes(content[:length])
        with pytest.raises(PictureError, match="cut"):
            read_picture(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_gives_a_picture_or_our_error() -> None:
    rng = np.random.default_rng(1)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        content = bytearray(encoded(Image.fromarray(gradient()), format))
        for _ in range(60):
            damaged = content.copy()
            for place in rng.integers(0, len(damaged), 6):
                damaged[place] = rng.integers(256)
            try:
                assert read_picture(bytes(damaged)).mode == "RGB"
            except PictureError as error:
                assert str(error).startswith("picture of ")  # noqa: PT017


def test_an_enormous_picture_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_load", lambda *_: pytest.fail("decoded"))
    for width, height in ((13_000, 12_000), (60_000, 60_000), (2_000_000_000, 2)):
        with pytest.raises(PictureError, match="at most 150,000,000 pixels"):
            read_picture(png_of_size(width, height))


def test_a_large_allowed_picture_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match="damaged or cut off"):
            read_picture(png_of_size(12_000, 12_000))


def test_an_enormous_array_or_image_is_refused() -> None:
    with pytest.raises(PictureError, match="at most 150,000,000"):
        read_picture(np.broadcast_to(np.uint8(0), (20_000, 10_000, 3)))


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(PictureError, match="at least one pixel, found 0 x 5"):
        read_picture(Image.new("RGB", (0, 5)))
    with pytest.raises(PictureError, match="at least one pixel"):
        read_picture(np.zeros((0, 5, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 5, 3)), r"found float64 \(4, 5, 3\); multiply by 255"),
        (np.full((4, 5, 3), np.nan, dtype=np.float32), "with NaN"),
        (np.zeros((3, 40, 50), dtype=np.uint8), r"found uint8 \(3, 40, 50\); move the channels to the end"),
        (np.zeros((4, 5, 2), dtype=np.uint8), r"found uint8 \(4, 5, 2\)"),
        (np.zeros((1, 4, 5, 3), dtype=np.uint8), r"found uint8 \(1, 4, 5, 3\)"),
        (np.zeros(7, dtype=np.uint8), r"found uint8 \(7,\)"),
        (np.zeros((4, 5, 3), dtype=np.int64), "found int64"),
        (np.zeros((4, 5, 3), dtype=bool), "found bool"),
        (np.array([["a"]]), "found <U1"),
    ],
)
def test_arrays_of_another_shape_or_type_are_described(array: np.ndarray, found: str) -> None:
    with pytest.raises(PictureError, match=r"expected uint8 \(H, W, 3\).*" + found):
        read_picture(array)


@pytest.mark.parametrize("source", [None, 7, ["a.jpg"]])
def test_another_kind_of_source_is_refused(source: object) -> None:
    with pytest.raises(PictureError, match="expected a path, bytes, PIL image or array, found"):
        read_picture(source)  # type: ignore[arg-type]


# Masks


def half(height: int = 6, width: int = 8) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[:, : width // 2] = True
    return mask


@pytest.mark.parametrize(
    "source",
    [
        half(),
        half().astype(np.uint8) * 255,
        half().astype(np.float32),
        half().astype(np.int64) + 3,
        Image.fromarray(half()),
        Image.fromarray(half().astype(np.uint8) * 255),
        Image.fromarray(half().astype(np.uint8) * 255).convert("RGB"),
        Image.fromarray(half().astype(np.uint8) * 255).convert("LA"),
        encoded(Image.fromarray(half().astype(np.uint16) * 65535), "PNG"),
    ],
)
def test_of_two_values_the_larger_is_the_target(source: object) -> None:
    mask = read_mask(source, (6, 8))  # type: ignore[arg-type]
    assert mask.dtype == bool
    assert (mask == half()).all()


def test_of_a_palette_the_indices_count() -> None:
    image = Image.fromarray(half().astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 0, 0, 0])  # index 1 is black
    assert (read_mask(encoded(image, "PNG"), (6, 8)) == half()).all()


def test_a_mask_of_one_value_is_nothing_or_everything() -> None:
    assert not read_mask(np.zeros((2, 3), dtype=np.uint8), (2, 3)).any()
    assert read_mask(np.full((2, 3), 255, dtype=np.uint8), (2, 3)).all()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (np.zeros((3, 2), dtype=bool), r"2 x 3 \(height x width\) as its picture, found 3 x 2"),
        (np.array([[0, 1, 2], [0, 1, 2]]), r"two values, found 3 \(0, 1, 2, \.\.\.\)"),
        (np.array([[0.0, np.nan, 1.0]] * 2), "found NaN"),
        (np.zeros((2, 3, 3), dtype=np.uint8), r"\(H, W\) array of bool or numbers, found uint8 \(2, 3, 3\)"),
        (np.array([["a"] * 3] * 2), "found <U1"),
        (Image.new("RGB", (3, 2), RED), r"one channel, found colours \(RGB\)"),
    ],
)
def test_a_mask_that_means_nothing_clear_is_refused(source: object, found: str) -> None:
    with pytest.raises(PictureError, match=found):
        read_mask(source, (2, 3))  # type: ignore[arg-type]


def test_a_mask_with_a_shape_in_its_transparency_is_refused() -> None:
    pixels = np.zeros((2, 3, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 255
    with pytest.raises(PictureError, match="found transparency"):
        read_mask(Image.fromarray(pixels), (2, 3))


def test_a_blurred_mask_of_a_jpeg_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.tri(60, 80, dtype=np.uint8) * 255).save(tmp_path / "mask.jpg", quality=40)
    with pytest.raises(PictureError, match=r"mask\.jpg: expected a mask of two values"):
        read_mask(tmp_path / "mask.jpg", (60, 80))


def test_run_lengths_are_a_mask() -> None:
    assert (read_mask(encode(half()), (6, 8)) == half()).all()


def test_run_lengths_of_another_size_or_of_nothing_are_refused() -> None:
    with pytest.raises(PictureError, match=r"RLE of size \[6, 8\], expected \[8, 6\]"):
        read_mask(encode(half()), (8, 6))
    with pytest.raises(PictureError, match="empty mask"):
        read_mask(encode(half() & False), (6, 8))


def test_a_missing_mask_is_named() -> None:
    with pytest.raises(PictureError, match=r"mask\.png: no such file"):
        read_mask("mask.png", (2, 3))


# Finding


def test_files_folders_globs_and_standard_input_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "c.txt", ".hidden.jpg", "deep/d.webp", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(*inputs: object, stdin: str = "") -> list[str]:
        paths = find_pictures(inputs, io.StringIO(stdin))  # type: ignore[arg-type]
        return [str(path.relative_to(tmp_path)) for path in paths]

    assert found(tmp_path) == ["a.PNG", "b.jpg", "odd[1].jpg"]
    assert found(tmp_path / "c.txt", tmp_path / "a.PNG") == ["c.txt", "a.PNG"]
    assert found(str(tmp_path / "*.jpg")) == ["b.jpg", "odd[1].jpg"]
    assert found(str(tmp_path / "**" / "*.webp")) == ["deep/d.webp"]
    assert found(tmp_path / "odd[1].jpg") == ["odd[1].jpg"]
    assert found("-", stdin=f"{tmp_path}/b.jpg\n\n{tmp_path}/deep\r\n") == ["b.jpg", "deep/d.webp"]
    assert found(tmp_path / "b.jpg", tmp_path) == ["b.jpg", "a.PNG", "odd[1].jpg"]


def test_what_leads_nowhere_is_given_back_to_be_named(tmp_path: Path) -> None:
    lost = [tmp_path, tmp_path / "none.jpg", tmp_path / "*.jpg", Path("x" * 5000)]
    assert list(find_pictures(lost)) == lost
    for path in lost:
        with pytest.raises(PictureError):
            read_picture(path)
