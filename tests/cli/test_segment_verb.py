from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from referent.data.coco import read_coco
from referent.data.loading import open_dataset
from referent.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_masks_an_overlay_and_a_coco_file_are_written_and_named(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, red_box: tuple[int, ...]
) -> None:
    out = tmp_path / "deep" / "out"
    code, stdout, stderr = run("segment", photo, "--phrase", "the red car", "-p", "a green tree", "--out", out)
    assert (code, stderr) == (0, "")
    names = {"street.overlay.png", "street.the-red-car.png", "street.a-green-tree.png", "segmentations.json"}
    assert {path.name for path in out.iterdir()} == names
    assert all(str(out / name) in stdout for name in names)
    lines = stdout.splitlines()
    assert lines[0] == (
        f'{photo}: "the red car" score 1.00 box {",".join(map(str, red_box))} mask {out / "street.the-red-car.png"}'
    )
    assert lines[1].startswith(f'{photo}: "a green tree" score 0.00 not found')
    mask = pixels(out / "street.the-red-car.png")
    assert mask.shape == (96, 128)
    assert set(np.unique(mask)) == {0, 255}
    assert mask[red_box[1] + 1, red_box[0] + 1] == 255
    assert not pixels(out / "street.a-green-tree.png").any()
    assert pixels(out / "street.overlay.png").shape == (96, 128, 3)


def test_names_of_many_bytes_are_cut_between_characters_and_stay_apart(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path
) -> None:
    picture = photo.with_name("图" * 80 + ".png")
    shutil.copy(photo, picture)
    phrase = "红" * 90
    code, _, stderr = run("segment", picture, "-p", phrase, "-p", f"{phrase}车", "-p", "red", "-o", tmp_path / "out")
    assert (code, stderr) == (0, "")
    stem, question = "图" * 33, "红" * 33
    names = [f"{stem}.{question}.png", f"{stem}.{question}-2.png", f"{stem}.red.png", f"{stem}.overlay.png"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*names, "segmentations.json"}


def test_the_coco_file_reads_as_a_data_set(
    run: Run,
    colour_zoo: Segmenter,
    photo: Path,
    tmp_path: Path,
    red_box: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    monkeypatch.chdir(photo.parent)
    run("segment", photo.name, "-p", "red", "-p", "green", "-p", "blue", "-o", out)
    content = json.loads((out / "segmentations.json").read_text())
    assert content["info"]["model"] == "colours"
    assert [category["name"] for category in content["categories"]] == ["red", "blue"]
    x0, y0, x1, y1 = red_box
    assert content["annotations"][0]["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert [phrase["annotation_ids"] for phrase in content["phrases"]] == [[1], [], [2]]
    assert [phrase["found"] for phrase in content["phrases"]] == [True, False, True]
    read_coco(out / "segmentations.json")
    samples = open_dataset(out / "segmentations.json", None).samples
    assert [str(sample.reference) for sample in samples] == ["red", "green", "blue"]
    assert [sample.mask().sum() > 0 for sample in samples] == [True, False, True]


def test_json_is_the_coco_file_alone_on_stdout(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = run("segment", photo, tmp_path / "gone.png", "-p", "red", "-o", out, "--json")
    assert code == 1
    content = json.loads(stdout)
    assert content == json.loads((out / "segmentations.json").read_text())
    assert content["phrases"][0]["score"] > 0.9
    assert content["failed"][0]["picture"] == str(tmp_path / "gone.png")
    assert "gone.png" in stderr


def test_folders_globs_and_lists_on_stdin_are_taken(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(photo, folder / name)

    def asked(*arguments: object) -> list[str]:
        _, stdout, _ = run("segment", *arguments, "-p", "red", "-o", tmp_path / "out", "--json")
        return [Path(image["file_name"]).name for image in json.loads(stdout)["images"]]

    assert asked(folder) == ["a.png", "b.png", "c.png"]
    assert asked(folder / "[ab].png", photo) == ["a.png", "b.png", "street.png"]
    listing = f"{folder / 'c.png'}\n\n{folder / 'a.png'}\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listing)))
    assert asked("-") == ["c.png", "a.png"]


@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_a_picture_itself_on_stdin_is_taken(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    buffer = io.BytesIO()
    with Image.open(photo) as image:
        image.save(buffer, format=suffix)
    buffer.seek(0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(buffer))
    code, stdout, _ = run("segment", "-", photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 0
    assert '-: "red" score' in stdout
    assert (tmp_path / "out" / "stdin.red.png").is_file()
    assert (tmp_path / "out" / "street.red.png").is_file()


def test_files_of_equal_names_do_not_overwrite_each_other(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(photo, tmp_path / "other" / "street.png")
    shutil.copy(photo, tmp_path / "other" / "Street.gif")
    out = tmp_path / "out"
    phrases = ["red", "Red!", "RED", "🟥", "🟦", "red."]
    arguments = [item for phrase in phrases for item in ("-p", phrase)]
    code, _, _ = run("segment", photo, tmp_path / "other", *arguments, "-o", out)
    assert code == 0
    assert len(list(out.glob("*.png"))) == 3 * (1 + len(phrases))
    assert len({path.name.casefold() for path in out.iterdir()}) == len(list(out.iterdir()))


def test_names_of_files_are_short_and_plain_whatever_the_phrase(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("segment", photo, "-p", "../../red / of \\ it: " + "word " * 90, "-p", "красная машина", "-o", out)
    names = sorted(path.name for path in out.glob("street.*"))
    assert "street.красная-машина.png" in names
    assert any(name.startswith("street.red-of-it-word-") and len(name) < 100 for name in names)


def test_a_second_run_writes_the_same_files(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("segment", photo, "-p", "red", "-o", out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    run("segment", photo, "-p", "red", "-o", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_notes_stand_behind_the_answer(run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path) -> None:
    _, stdout, _ = run("segment", photo, "-p", "red " * 30, "-o", tmp_path / "out")
    assert "(the phrase is cut to the 8 tokens that colours reads)" in stdout
