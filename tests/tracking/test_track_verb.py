from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import SIZE, pictures, plain, sound, write
from PIL import Image
from stub import segmenter

import referent as rf
from referent.cli.tracked_objects import wanted
from referent.data.videos.label_pictures import read_labels
from referent.rle import decode
from referent.segmenter import Segmenter
from referent.tracker import Tracker
from referent.tracking.objects import MOST

Run = Callable[..., Any]
FRAMES = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clips") / "clip.mp4", pictures(FRAMES))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    """Makes the command line load a model that remembers."""
    model = segmenter()
    monkeypatch.setattr("referent.segmenter.load", lambda *_, **__: model)
    return model


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Of the red square in frame 0."""
    path = tmp_path / "mask.png"
    Image.fromarray(square(0).astype(np.uint8) * 255).save(path)
    return path


def square(frame: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[16:32, 2 * frame : 2 * frame + 16] = True
    return mask


def lines_of(out: Path) -> list[dict[str, Any]]:
    header, *lines = map(json.loads, (out / "tracks.jsonl").read_text().splitlines())
    assert header["referent_tracks"] == 2
    return lines


def content_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_masks_an_overlay_and_a_line_a_frame_are_written(
    run: Run, clip: Path, memory: Segmenter, mask: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    result = run("track", clip, "--example", mask, "--object", "corner=the blue corner", "--out", out)
    assert result.code == 0, result.err
    assert "object: found in 12 of 12 frames" in result.out
    assert "corner: found in 12 of 12 frames" in result.out
    for index, line in enumerate(lines_of(out)):
        one, corner = line["objects"]
        labels = read_labels(out / "masks" / f"{line['name']}.png", SIZE)
        assert line["seconds"] == pytest.approx(index / 25)
        assert (labels == 2).sum() == pytest.approx(64, abs=24)
        assert (decode(one["segmentation"]) == (labels == 1)).all()
        assert ((labels == 1) != square(index)).mean() < 0.02
        assert one["box"] == pytest.approx([2 * index, 16, 2 * index + 16, 32], abs=2)
        assert corner["score"] > 0.9
    with Image.open(out / "masks" / "00000.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[3:9] == [128, 0, 0, 0, 128, 0]  # type: ignore[index]
    drawn = list(rf.read_video(out / "overlay.mp4"))
    assert len(drawn) == FRAMES
    assert drawn[5].picture.size == (64, 48)


def test_a_model_of_phrases_tracks_frame_by_frame(run: Run, clip: Path, colour_zoo: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = run("track", clip, "-p", "the red one", "-p", "a green one", "--out", out, "--no-overlay")
    assert result.code == 0, result.err
    assert "the red one: found in 12 of 12 frames" in result.out
    assert "a green one: found in 0 of 12 frames" in result.out
    assert not (out / "overlay.mp4").exists()
    assert all(line["objects"][1]["segmentation"] is None for line in lines_of(out))


def test_a_mask_in_the_middle_corrects_and_one_after_the_end_is_said(
    run: Run, clip: Path, memory: Segmenter, mask: Path, tmp_path: Path
) -> None:
    corner = np.zeros(SIZE, dtype=np.uint8)
    corner[:8, :8] = 1
    Image.fromarray(corner).save(tmp_path / "corner.png")
    masks = ["--example", mask, "--example", tmp_path / "corner.png", "--example", mask]
    frames = ["--frame", "0", "--frame", "6", "--frame", "99"]
    result = run("track", clip, *masks, *frames, "--out", tmp_path / "found")
    assert result.code == 1
    assert "object: found in 12 of 12 frames; its mask on frame 99 came too late" in result.out
    boxes = [line["objects"][0]["box"] for line in lines_of(tmp_path / "found")]
    assert boxes[5] == pytest.approx([10, 16, 26, 32], abs=2)
    assert boxes[6:] == [pytest.approx([0, 0, 8, 8], abs=2)] * 6


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Presses Ctrl-C during a frame."""

    def prepare(frame: int) -> None:
        step, seen = Tracker.step, 0

        def pressed(self: Any, *arguments: Any) -> Any:
            nonlocal seen
            if seen == frame:
                os.kill(os.getpid(), signal.SIGINT)
            seen += 1
            return step(self, *arguments)

        monkeypatch.setattr(Tracker, "step", pressed)

    return prepare


def test_after_ctrl_c_what_is_done_is_there_and_resume_gives_what_one_run_gives(
    run: Run,
    clip: Path,
    memory: Segmenter,
    mask: Path,
    tmp_path: Path,
    interrupted_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = ["track", clip, "--example", mask, "--object", "corner=blue", "--out"]
    assert run(*call, tmp_path / "whole").code == 0
    with monkeypatch.context():
        interrupted_after(4)
        stopped = run(*call, tmp_path / "parts")
    assert stopped.code == 130
    assert "stopped after 5 frames; --resume goes on" in stopped.err
    assert len(lines_of(tmp_path / "parts")) == 5
    assert len(list(rf.read_video(tmp_path / "parts" / "overlay.mp4"))) == 5
    # A process that was killed may leave half a line.
    with (tmp_path / "parts" / "tracks.jsonl").open("a") as stream:
        stream.write('{"frame": 5, "na')
    monkeypatch.undo()
    monkeypatch.setattr("referent.segmenter.load", lambda *_, **__: memory)
    asked = len(memory.model.asked)  # type: ignore[arg-type]
    assert run(*call, tmp_path / "parts", "--resume").code == 0
    assert len(memory.model.asked) - asked == FRAMES - 5  # type: ignore[arg-type]
    assert content_of(tmp_path / "parts") == content_of(tmp_path / "whole")


def test_a_folder_that_holds_another_run_is_left_alone(run: Run, clip: Path, memory: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert run("track", clip, "-p", "red", "--out", out).code == 0
    before = content_of(out)
    again = run("track", clip, "-p", "red", "--out", out)
    assert again.code == 2
    assert "there is a run already; --resume goes on with it" in again.err
    other = run("track", clip, "-p", "blue", "--out", out, "--resume")
    assert other.code == 2
    assert "holds tracks of another run (objects" in other.err
    assert content_of(out) == before


def test_a_run_is_not_gone_on_with_by_other_rules_or_in_another_precision(
    run: Run, clip: Path, memory: Segmenter, tmp_path: Path
) -> None:
    call = ["track", clip, "-p", "red", "--out", tmp_path / "found"]
    assert run(*call).code == 0
    before = content_of(tmp_path / "found")
    ruled = run(*call, "--resume", "--procedure", "lvos")
    assert ruled.code == 2
    assert "holds tracks of another run (procedure 'referent', here 'lvos')" in ruled.err
    memory.engine.dtype = torch.bfloat16
    rounded = run(*call, "--resume")
    assert rounded.code == 2
    assert "holds tracks of another run (precision 'float32', here 'bfloat16')" in rounded.err
    assert content_of(tmp_path / "found") == before


def test_a_run_of_an_earlier_version_is_left_alone(run: Run, clip: Path, memory: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "found"
    out.mkdir()
    earlier = {"video": str(clip), "model": "colour-memory", "objects": {}, "numbers": {}, "smoothing": 0.0}
    (out / "tracks.jsonl").write_text(json.dumps(earlier | {"referent_tracks": 1}) + "\n")
    result = run("track", clip, "-p", "red", "--out", out, "--resume")
    assert result.code == 2
    assert "tracks.jsonl: expected format 2, found 1" in result.err


def test_a_full_disk_ends_the_run_with_what_is_done(
    run: Run, clip: Path, memory: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from referent.data.videos import label_pictures

    write_labels = label_pictures.write_labels

    def full(path: Path, labels: np.ndarray) -> None:
        if path.name == "00003.png":
            raise OSError(28, "No space left on device")
        write_labels(path, labels)

    monkeypatch.setattr(label_pictures, "write_labels", full)
    result = run("track", clip, "-p", "red", "--out", tmp_path / "found")
    assert result.code == 2
    assert "00003.png: cannot be written: No space left on device" in result.err
    assert len(lines_of(tmp_path / "found")) == 3
    monkeypatch.setattr(label_pictures, "write_labels", write_labels)
    assert run("track", clip, "-p", "red", "--out", tmp_path / "found", "--resume").code == 0
    assert len(lines_of(tmp_path / "found")) == FRAMES


def test_an_overlay_that_cannot_be_written_ends_the_run_too(
    run: Run, clip: Path, memory: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise rf.VideoError("overlay.mp4: cannot be written: No space left on device")

    monkeypatch.setattr(rf.VideoWriter, "add", full)
    result = run("track", clip, "-p", "red", "--out", tmp_path / "found")
    assert result.code == 2
    assert "No space left on device" in result.err
    assert lines_of(tmp_path / "found") == []


def test_a_broken_picture_ends_a_folder_with_what_is_done(run: Run, memory: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number, picture in enumerate(pictures(4)):
        picture.save(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "frames" / "2.png").write_bytes(b"junk")
    result = run("track", tmp_path / "frames", "-p", "red", "--out", tmp_path / "found")
    assert result.code == 1
    assert "2.png: expected a picture" in result.err
    assert len(lines_of(tmp_path / "found")) == 2


def test_a_video_that_is_cut_off_is_followed_to_its_last_good_frame(
    run: Run, memory: Segmenter, tmp_path: Path
) -> None:
    whole = plain(tmp_path / "whole.mkv", 40).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: int(0.9 * len(whole))])
    result = run("track", tmp_path / "cut.mkv", "-p", "red", "--out", tmp_path / "found")
    assert result.code == 1
    assert "cut.mkv: cut off" in result.err
    lines = lines_of(tmp_path / "found")
    assert 0 < len(lines) < 40
    assert len(list(rf.read_video(tmp_path / "found" / "overlay.mp4"))) == len(lines)


def test_frames_in_a_folder_lend_their_names_to_the_masks(run: Run, memory: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number, picture in enumerate(pictures(3), start=9):
        picture.save(tmp_path / "frames" / f"shot{number}.png")
    assert run("track", tmp_path / "frames", "-p", "red", "--out", tmp_path / "found").code == 0
    assert sorted(path.name for path in (tmp_path / "found" / "masks").iterdir()) == [
        "shot10.png",
        "shot11.png",
        "shot9.png",
    ]
    assert [line["name"] for line in lines_of(tmp_path / "found")] == ["shot9", "shot10", "shot11"]


def bad_calls(clip: Path, folder: Path) -> Iterator[tuple[list[object], str]]:
    small, empty, full = folder / "small.png", folder / "empty.png", folder / "full.png"
    Image.new("L", (10, 10), 255).save(small)
    Image.new("L", SIZE[::-1]).save(empty)
    Image.new("L", SIZE[::-1], 255).save(full)
    sound(folder / "sound.mp4")
    yield [clip], "expected something to follow"
    yield [clip, "--example", small], "small.png: expected a mask of 48 x 64"
    yield [clip, "--example", empty], "empty.png: expected a mask of something to begin with"
    yield [clip, "--example", folder / "missing.png"], "missing.png: no such file"
    yield [clip, "-p", "red", "-p", "blue", "--example", full], "with several phrases"
    yield [clip, "--example", full, "--frame", "0", "--frame", "1"], "expected one for each --example, found 2 for 1"
    yield [clip, "--example", full, "--example", full], "expected one mask on frame 0"
    yield [clip, "--object", "red"], "expected NAME=PHRASE or NAME=MASK@FRAME, found 'red'"
    yield [clip, "--object", "dog=mask.jpg@3"], "expected a mask (.png, .bmp, .gif, .tif, .tiff, .webp) before @FRAME"
    yield [clip, "--object", "a=red", "--object", "a=blue"], "expected one phrase, found 'red' and 'blue'"
    yield [clip, "-p", "red", "--procedure", "nonsense"], "procedure: expected one of"
    yield [folder / "sound.mp4", "-p", "red"], "sound.mp4: expected a video, found audio only"
    yield [folder / "missing.mp4", "-p", "red"], "missing.mp4: no such file"
    yield [clip, *(word for number in range(MOST + 1) for word in ("-p", f"red {number}"))], f"at most {MOST} objects"


def test_a_wrong_call_says_what_is_wrong_and_writes_nothing(
    run: Run, clip: Path, memory: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    for arguments, message in bad_calls(clip, tmp_path):
        result = run("track", *arguments, "--out", out)
        assert result.code == 2, (arguments[:5], result)
        assert message in " ".join(result.err.replace("│", " ").split()), result.err
        assert not out.exists()


def test_a_model_without_examples_says_so_before_the_first_frame(
    run: Run, clip: Path, colour_zoo: Segmenter, mask: Path, tmp_path: Path
) -> None:
    result = run("track", clip, "-p", "red", "--example", mask, "--out", tmp_path / "found")
    assert result.code == 2
    assert "colours takes phrases" in result.err
    assert not (tmp_path / "found").exists()


def test_objects_are_read_from_the_options() -> None:
    found = wanted([], [], [], ["dog=a dog = brown", "dog=a/dog.png@3", "dog=b.PNG", "cat=cat.tif@12"])
    assert found.phrases == {"dog": "a dog = brown", "cat": None}
    assert found.masks == {3: {"dog": Path("a/dog.png")}, 0: {"dog": Path("b.PNG")}, 12: {"cat": Path("cat.tif")}}
    assert list(found.first_masks) == [("dog", 0, Path("b.PNG")), ("cat", 12, Path("cat.tif"))]
    assert wanted([], [], [], ["dog=the dog @ 3 o'clock"]).phrases == {"dog": "the dog @ 3 o'clock"}
    assert wanted(["red"], [Path("a.png")], [], []).phrases == {"object": "red"}
    assert wanted(["red", "blue"], [], [], []).phrases == {"red": "red", "blue": "blue"}
