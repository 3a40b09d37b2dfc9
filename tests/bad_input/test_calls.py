from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from referent.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]
REFERENT = [sys.executable, "-m", "referent"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["segment"],
        ["segment", "a.png"],
        ["segment", "--phrase", "red"],
        ["segment", "a.png", "-p", "red", "--nonsense"],
        ["convert", "only-one"],
        ["convert", "in", "out", "--context-length", "1"],
    ],
)
def test_a_wrong_call_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    code, stdout, stderr = run(*arguments)
    assert (code, stdout) == (2, "")
    assert stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(("option", "value"), [("--device", "abacus"), ("--device", "cuda:99"), ("--dtype", "int3")])
def test_a_device_or_precision_that_is_not_here_is_a_wrong_call(
    run: Run, tiny_weights: Path, photo: Path, tmp_path: Path, option: str, value: str
) -> None:
    code, _, stderr = run("segment", photo, "-p", "red", "-m", tiny_weights, "-o", tmp_path / "out", option, value)
    assert code == 2
    assert stderr.startswith(f"referent: {option.strip('-')}: expected ")
    assert len(stderr.splitlines()) == 1


def test_an_empty_list_on_stdin_is_a_wrong_call(tiny_weights: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [*REFERENT, "segment", "-", "-p", "red", "-m", str(tiny_weights), "-o", str(tmp_path / "out")],
        input=b"\n",
        capture_output=True,
    )
    assert result.returncode == 2
    assert b"expected pictures, found none" in result.stderr


def test_an_output_folder_that_cannot_be_is_a_wrong_call(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path
) -> None:
    for out in (photo, photo / "below"):
        code, _, stderr = run("segment", photo, "-p", "red", "-o", out)
        assert code == 2
        assert stderr.startswith(f"referent: {out}: ")


def test_a_full_disk_ends_the_run_without_half_a_file(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "mask.png")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    code, _, stderr = run("segment", photo, "-p", "red", "-o", tmp_path / "out")
    assert code == 2
    assert "referent: mask.png: No space left on device" in stderr
    assert not list((tmp_path / "out").glob("*.png"))
    assert not list((tmp_path / "out").glob(".*"))


def test_when_all_pictures_fail_the_code_is_1(run: Run, colour_zoo: Segmenter, tmp_path: Path) -> None:
    code, _, stderr = run("segment", tmp_path / "a.png", tmp_path / "b.png", "-p", "red", "-o", tmp_path / "out")
    assert code == 1
    assert f"2 of 2 pictures failed: {tmp_path / 'a.png'}, {tmp_path / 'b.png'}" in stderr


def test_an_interrupt_keeps_what_is_done(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = colour_zoo._answer_batch

    def interrupted(sources: list[Path], asked: object) -> object:
        if sources[0].name == "second.png":
            raise KeyboardInterrupt
        return answer(sources, asked)

    monkeypatch.setattr(colour_zoo, "_answer_batch", interrupted)
    photo.with_name("second.png").write_bytes(photo.read_bytes())
    code, stdout, stderr = run("segment", photo, photo.with_name("second.png"), "-p", "red", "-o", tmp_path / "out")
    assert code == 130
    assert stderr == ""
    assert '"red" score' in stdout
    assert len(json.loads((tmp_path / "out" / "segmentations.json").read_text())["images"]) == 1


def test_ctrl_c_ends_the_process_with_130_and_no_traceback(tiny_weights: Path, photo: Path, tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for index in range(2000):
        (album / f"{index}.png").symlink_to(photo)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*REFERENT, "segment", str(album), "-p", "red", "-m", str(tiny_weights), "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore SIGINT, and so would every process they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert '"red" score' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert 1 <= len(json.loads((out / "segmentations.json").read_text())["images"]) < 2000
    assert not list(out.glob(".*"))


def test_the_whole_command_as_users_call_it(tiny_weights: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = subprocess.run(
        [*REFERENT, "segment", photo, tmp_path / "gone.png", "-p", "the red thing", "-m", tiny_weights, "-o", out],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"referent: {tmp_path / 'gone.png'}: no such file",
        f"referent: 1 of 2 pictures failed: {tmp_path / 'gone.png'}",
    ]
    assert str(out / "street.the-red-thing.png") in result.stdout
