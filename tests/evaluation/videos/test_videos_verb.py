"""`referent evaluate` and `referent data score` on videos."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_videos import write_video

from referent.segmenter import Segmenter

Run = Callable[..., Any]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "DAVIS"
    write_video(root, "red", [10, 12, 14, 16])
    write_video(root, "red-2", [30, 30, 30, 30])
    (root / "ImageSets" / "2016").mkdir(parents=True)
    (root / "ImageSets" / "2016" / "val.txt").write_text("red\nred-2\n")
    return root


def test_a_set_of_videos_is_evaluated_under_its_own_protocol(
    run: Run, colour_zoo: Segmenter, videos: Path, tmp_path: Path
) -> None:
    out, drawn, zipped = tmp_path / "result.json", tmp_path / "look.png", tmp_path / "answers.zip"
    command = ("evaluate", "cris-pocket", videos / "ImageSets" / "2016" / "val.txt", "--reference", "phrase")
    written = ("--save", tmp_path / "kept", "--out", out, "--draw", drawn, "--submission", zipped)
    outcome = run(*command, *written)
    assert outcome.code == 0, outcome.err
    assert "colours on DAVIS 2016 (val) by phrase: 2 videos, 2 objects, 8 frames" in outcome.out
    content = json.loads(out.read_text())
    assert content["scores"]["davis"]["overall"]["numbers"]["J"]["value"] > 0.8
    assert len(content["weights_sha256"]) == 64
    assert Image.open(drawn).width > 1000
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == [f"{name}/{frame:05d}.png" for name in ("red", "red-2") for frame in range(4)]
    again = run(*command, *written)
    assert again.code == 0
    scored = run("data", "score", tmp_path / "kept" / "masks", command[2], "--json")
    assert json.loads(scored.out)["scores"]["davis"]["sequences"] == content["scores"]["davis"]["sequences"]
    chosen = run(*command, "--where", "video=red-2", "--json")
    assert json.loads(chosen.out)["videos"] == 1


def test_options_that_do_not_fit_are_refused(run: Run, colour_zoo: Segmenter, videos: Path, photo: Path) -> None:
    of_pictures = run("evaluate", "cris-pocket", videos, "--class-names", "--limit", 3)
    assert of_pictures.code == 2
    assert "holds videos: leave out --class-names, --limit" in of_pictures.err
    for arguments, message in (
        (("--classes", "red", "--named", "--min-area", 0), "leave out --classes, --min-area, --named"),
        (("--seeds", 2, "--episodes", 3, "--listing", "drawn"), "leave out --seeds, --episodes, --listing"),
        (("--leave-out", "red"), "holds videos: leave out --leave-out"),
        (("--draw", "x.png"), "give a folder with --save"),
        (("--where", "name=red"), "videos are chosen by name: video=bear,bus"),
        (
            ("--reference", "phrase", "--procedure", "lvos"),
            "procedure: expected none, as colours sees each frame alone",
        ),
        (("--reference", "sound"), "expected mask, phrase or both, found 'sound'"),
        (("--protocol", "lavt"), "for videos there are: davis, "),
    ):
        outcome = run("evaluate", "cris-pocket", videos, *arguments)
        assert outcome.code == 2
        assert message in outcome.err
    of_videos = run("evaluate", "cris-pocket", photo, "--reference", "phrase")
    assert of_videos.code == 2
    assert "holds no videos: leave out --reference" in of_videos.err


def test_answers_that_are_missing_are_named(run: Run, videos: Path, tmp_path: Path) -> None:
    outcome = run("data", "score", tmp_path / "nowhere", videos)
    assert outcome.code == 2
    assert "no video could be answered; the first:" in outcome.err
    assert "no such mask" in outcome.err
