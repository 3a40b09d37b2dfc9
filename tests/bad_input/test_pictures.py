from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from referent.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]
Paint = Callable[..., Image.Image]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that would decode to width x height pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def png(paint: Paint) -> bytes:
    buffer = io.BytesIO()
    paint().save(buffer, format="PNG")
    return buffer.getvalue()


UNUSABLE: dict[str, Callable[[Paint], bytes]] = {
    "empty.png": lambda paint: b"",
    "truncated.png": lambda paint: png(paint)[:-60],
    "header-only.png": lambda paint: png(paint)[:30],
    "text.jpg": lambda paint: b"not a picture\n",
    "noise.jpg": lambda paint: bytes(np.random.default_rng(0).integers(0, 256, 999, dtype=np.uint8)),
    "bomb.png": lambda paint: png_that_claims(100_000, 100_000),
    "no-pixels.png": lambda paint: png_that_claims(0, 40),
    "pickle.png": lambda paint: pickle.dumps({"a": 1}),
    "postscript.png": lambda paint: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_picture_is_named_and_the_others_are_answered(
    run: Run, colour_zoo: Segmenter, photo: Path, paint: Paint, tmp_path: Path, name: str
) -> None:
    bad = tmp_path / name
    bad.write_bytes(UNUSABLE[name](paint))
    code, stdout, stderr = run("segment", bad, photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    first, last = stderr.splitlines()
    assert first.startswith(f"referent: {bad}: ")
    assert last == f"referent: 1 of 2 pictures failed: {bad}"
    assert f'{photo}: "red" score' in stdout
    assert (tmp_path / "out" / "street.red.png").is_file()


@pytest.mark.parametrize("name", ["gone.png", "no/such/folder/gone.png", "*.gone", "x" * 300 + ".png", "a\nb.png"])
def test_a_picture_that_is_not_there_is_named(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, name: str
) -> None:
    code, stdout, stderr = run("segment", tmp_path / name, photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert stderr.startswith(f"referent: {tmp_path / name}: ")
    assert "1 of 2 pictures failed" in stderr
    assert "Traceback" not in stderr
    assert f'{photo}: "red" score' in stdout


def test_the_home_of_nobody_is_a_folder_of_that_name(run: Run, colour_zoo: Segmenter, tmp_path: Path) -> None:
    code, _, stderr = run("segment", "~nobody-of-this-name/a.png", "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert stderr.startswith("referent: ~nobody-of-this-name/a.png: ")


def test_a_folder_without_pictures_is_named(run: Run, colour_zoo: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "notes.txt").write_text("no pictures here")
    code, _, stderr = run("segment", tmp_path / "album", "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert str(tmp_path / "album") in stderr


def test_a_picture_that_cannot_be_opened_is_named(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    code, _, stderr = run("segment", loop, photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert stderr.startswith(f"referent: {loop}: cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_picture_is_named(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    photo.chmod(0)
    code, _, stderr = run("segment", photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert stderr.startswith(f"referent: {photo}: cannot be read")


def test_a_file_name_that_is_no_utf8_is_answered_and_shown_with_escapes(
    tiny_weights: Path, photo: Path, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        odd.write_bytes(photo.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"image": odd.name, "phrase": "red", "mask": None, "split": "val"}))
    for arguments in (
        ["segment", odd, "-p", "red", "-m", tiny_weights, "-o", tmp_path / "out"],
        ["evaluate", tiny_weights, data, "--out", tmp_path / "result.json", "--save", tmp_path / "saved.jsonl"],
    ):
        result = subprocess.run(
            [sys.executable, "-m", "referent", *arguments],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        )
        assert result.returncode == 0, result.stderr
    images = json.loads((tmp_path / "out" / "segmentations.json").read_text())["images"]
    assert images[0]["file_name"] == str(odd)
    saved = [json.loads(line) for line in (tmp_path / "saved.jsonl").read_text().splitlines()]
    assert saved[-1]["picture"].endswith(odd.name)
    assert json.loads((tmp_path / "result.json").read_text())["pictures"] == 1


def test_a_pipe_does_not_block_the_run(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    code, _, stderr = run("segment", tmp_path / "pipe.png", photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert "pipe.png: expected a picture file" in stderr


def rotated(image: Image.Image) -> Image.Image:
    """Stored on its side, with the EXIF tag that turns it back."""
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    return turned


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def deep(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257)


UNUSUAL: dict[str, Callable[[Image.Image, Path], Path]] = {
    "16-bit grey": lambda image, folder: save(folder / "a.png", deep(image)),
    "16-bit TIFF": lambda image, folder: save(folder / "a.tif", deep(image)),
    "CMYK": lambda image, folder: save(folder / "a.jpg", image.convert("CMYK"), quality=95),
    "palette": lambda image, folder: save(folder / "a.png", image.convert("P", palette=Image.Palette.ADAPTIVE)),
    "one bit": lambda image, folder: save(folder / "a.png", image.convert("1")),
    "grey with alpha": lambda image, folder: save(folder / "a.png", image.convert("LA")),
    "alpha": lambda image, folder: save(folder / "a.png", image.convert("RGBA")),
    "EXIF-rotated": lambda image, folder: save(
        folder / "a.jpg", turned := rotated(image), exif=turned.getexif(), quality=95
    ),
    "animated": lambda image, folder: save(
        folder / "a.gif", image, save_all=True, append_images=[Image.new("RGB", image.size)] * 3
    ),
    "animated PNG": lambda image, folder: save(
        folder / "a.png", image, save_all=True, append_images=[Image.new("RGB", image.size)] * 3
    ),
    "wrong suffix": lambda image, folder: save(folder / "a.jpg", image, format="PNG"),
}
GREY = {"16-bit grey", "16-bit TIFF", "one bit", "grey with alpha"}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_picture_is_answered(
    run: Run, colour_zoo: Segmenter, paint: Paint, tmp_path: Path, red_box: tuple[int, ...], kind: str
) -> None:
    path = UNUSUAL[kind](paint(), tmp_path)
    code, stdout, stderr = run("segment", path, "-p", "red", "-o", tmp_path / "out")
    assert (code, stderr) == (0, "")
    with Image.open(tmp_path / "out" / "a.red.png") as mask:
        assert mask.size == (128, 96)
        box = mask.getbbox()
    if kind in GREY:
        assert "not found" in stdout
    else:
        assert box == pytest.approx(red_box, abs=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5000)])
def test_a_picture_of_any_shape_is_answered(
    run: Run, colour_zoo: Segmenter, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", size, (250, 10, 10)))
    code, _, stderr = run("segment", path, "-p", "red", "-p", "green", "-o", tmp_path / "out")
    assert (code, stderr) == (0, "")
    with Image.open(tmp_path / "out" / "a.overlay.png") as overlay:
        assert overlay.size == size
