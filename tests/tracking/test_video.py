import errno
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import RATE, SIZE, changing, pictures, plain, sound, turned, write

import referent as rf
from referent.errors import PictureError, VideoError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clips") / "clip.mp4", pictures(20))


def test_a_file_gives_every_frame_with_its_time_and_knows_how_many_there_are(clip: Path) -> None:
    video = rf.read_video(clip)
    assert (video.count, video.rate) == (20, 25)
    frames = list(video)
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.seconds for frame in frames] == pytest.approx([index / 25 for index in range(20)])
    assert [frame.name for frame in frames][:2] == ["00000", "00001"]
    for index, frame in enumerate(frames):
        pixels = np.asarray(frame.picture).astype(int)
        assert pixels.shape == (*SIZE, 3)
        assert np.abs(pixels[24, 2 * index + 8] - (250, 20, 20)).max() < 12
        assert np.abs(pixels[4, 4] - (20, 20, 250)).max() < 12
    assert len(list(video)) == 20  # again, from the beginning


def test_uneven_times_come_back_as_they_were_written(tmp_path: Path) -> None:
    times = [0, 0.04, 0.3, 0.32, 1.0]
    path = write(tmp_path / "uneven.mp4", pictures(5), times)
    assert [frame.seconds for frame in rf.read_video(path)] == pytest.approx(times, abs=1e-4)


def test_a_part_is_found_by_seeking(clip: Path) -> None:
    video = rf.read_video(clip, start=0.2, stop=0.4)
    assert video.count == 5
    frames = list(video)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.seconds for frame in frames] == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36])
    assert np.asarray(frames[0].picture)[24, 2 * 5 + 8, 0] > 200
    with pytest.raises(VideoError, match=r"expected frames from second 7 on, found none"):
        list(rf.read_video(clip, start=7))
    with pytest.raises(VideoError, match="expected 0 <= start < stop"):
        rf.read_video(clip, start=2, stop=1)


def test_a_video_of_a_phone_held_upright_is_upright(clip: Path, tmp_path: Path) -> None:
    frame = next(iter(rf.read_video(turned(tmp_path / "turned.mp4", clip))))
    pixels = np.asarray(frame.picture)
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    assert pixels[4, -4, 2] > 200  # the corner at the top left is now at the top right


def test_a_video_may_change_its_size_and_a_written_one_keeps_that_of_its_first_frame(tmp_path: Path) -> None:
    path = changing(tmp_path / "changing.mpg")
    frames = [frame.picture for frame in rf.read_video(path)]
    # The decoder itself gives up a frame that it holds back where the size changes.
    assert [frame.size for frame in frames] == [(64, 48)] * 9 + [(32, 32)] * 10
    written = rf.read_video(write(tmp_path / "written.mp4", frames))
    assert {frame.picture.size for frame in written} == {(64, 48)}


def test_odd_sides_are_cut_to_even_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mp4", pictures(3, (49, 65)))
    assert {frame.picture.size for frame in rf.read_video(path)} == {(64, 48)}


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_is_cut_off_gives_its_good_frames_and_then_says_so(tmp_path: Path, share: float) -> None:
    whole = plain(tmp_path / "whole.mkv", 60).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: int(share * len(whole))])
    frames: list[rf.Frame] = []
    with pytest.raises(VideoError, match=r"cut\.mkv: cut off: frames end at second .* of 2\.40"):
        keep(rf.read_video(path), frames)
    assert 0 < len(frames) < 60


def keep(video: rf.Video, kept: list[rf.Frame]) -> None:
    """Also those that come before an error."""
    for frame in video:
        kept.append(frame)


def test_damage_in_the_middle_is_passed_over_and_said_in_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.mp4", pictures(60))
    content = bytearray(path.read_bytes())
    # The pictures of the second fragment; its head stays whole.
    start = content.index(b"mdat", content.index(b"mdat") + 4) + 4
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    frames: list[rf.Frame] = []
    with pytest.raises(VideoError, match=r"damaged: \d+ parts could not be decoded"):
        keep(rf.read_video(path), frames)
    assert frames[-1].seconds > 2.3


class Breaking:
    """A file that libav can read for nine packets, and seek in if `seekable`."""

    def __init__(self, container: Any, seekable: bool) -> None:
        self.container, self.seekable = container, seekable

    def __enter__(self) -> Any:
        self.container.__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        self.container.__exit__(*told)

    @property
    def streams(self) -> Any:
        return self.container.streams

    def seek(self, offset: int, stream: Any) -> None:
        if not self.seekable:
            raise av.error.PermissionError(errno.EPERM, "Operation not permitted")
        self.container.seek(offset, stream=stream)

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self.container.demux(stream), 9)
        raise av.error.InvalidDataError(1, "Invalid data found")


@pytest.mark.parametrize(
    ("start", "seekable", "count", "reason"),
    [(0.0, True, 9, "Invalid data found"), (0.2, True, 4, "Invalid data found"), (0.2, False, 0, "not permitted")],
)
def test_a_file_that_cannot_be_read_on_gives_its_good_frames_and_is_named(
    clip: Path, monkeypatch: pytest.MonkeyPatch, start: float, seekable: bool, count: int, reason: str
) -> None:
    video, opened = rf.read_video(clip, start=start), av.open
    monkeypatch.setattr(av, "open", lambda *given, **more: Breaking(opened(*given, **more), seekable))
    frames: list[rf.Frame] = []
    with pytest.raises(VideoError, match=rf"clip\.mp4: cannot be read on \(.*{reason}"):
        keep(video, frames)
    assert len(frames) == count


def test_a_note_in_a_file_that_is_no_utf_8_harms_nothing(tmp_path: Path) -> None:
    path = plain(tmp_path / "noted.mp4", 5)
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", b"Video\xbf\xbf\xbf\xbf\xbf\xbf\xbf"))
    assert len(list(rf.read_video(path))) == 5


def test_a_written_file_can_be_read_to_its_last_fragment_though_it_was_never_finished(tmp_path: Path) -> None:
    writer = rf.VideoWriter(tmp_path / "unfinished.mp4", RATE)
    for index, picture in enumerate(pictures(80)):
        writer.add(picture, index / 25)
    left = tmp_path / "left.mp4"
    left.write_bytes((tmp_path / "unfinished.mp4").read_bytes())
    writer.close()
    frames: list[rf.Frame] = []
    keep(rf.read_video(left), frames)
    assert len(frames) >= 25


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"hello" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    sound(tmp_path / "sound.mp4")
    whole = plain(tmp_path / "whole.mp4", 20).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("junk.mp4", "not a video"),
        ("empty.mp4", "not a video"),
        ("missing.mp4", "no such file"),
        ("sound.mp4", "expected a video, found audio only"),
        ("cut.mp4", "not a video, or one that is cut off before its index"),
        ("folder", "expected a folder of pictures"),
    ):
        with pytest.raises(VideoError, match=rf"{name}: {message}"):
            rf.read_video(tmp_path / name)


def test_a_folder_is_read_by_the_numbers_in_its_names(tmp_path: Path) -> None:
    for number, picture in zip((10, 2, 1), pictures(3), strict=True):
        picture.save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    video = rf.read_video(tmp_path, rate=10)
    assert video.count == 3
    assert [frame.name for frame in video] == ["frame1", "frame2", "frame10"]
    assert [frame.seconds for frame in video] == pytest.approx([0, 0.1, 0.2])


def test_a_broken_picture_in_a_folder_is_named_when_it_is_its_turn(tmp_path: Path) -> None:
    next(pictures(1)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"junk")
    frames = iter(rf.read_video(tmp_path))
    assert next(frames).name == "1"
    with pytest.raises(PictureError, match=r"2\.png"):
        next(frames)


def test_arrays_and_cameras_are_videos_too() -> None:
    array = np.stack([np.asarray(picture) for picture in pictures(3)])
    video = rf.read_video(array, rate=Fraction(5))
    assert (video.count, [frame.seconds for frame in video]) == (3, [0.0, 0.2, 0.4])
    camera = rf.read_video(pictures(4))
    assert camera.count is None
    assert [frame.picture.size for frame in camera] == [(64, 48)] * 4
    with pytest.raises(VideoError, match="expected frames, found none"):
        list(camera)  # it has been read
    with pytest.raises(VideoError, match=r"expected uint8 \(T, H, W, 3\), found float64"):
        rf.read_video(array / 255)
    with pytest.raises(VideoError, match="expected start and stop for a file only"):
        rf.read_video(array, start=1)
    with pytest.raises(VideoError, match="expected a file, folder, array or pictures, found int"):
        rf.read_video(3)  # type: ignore[arg-type]


def test_a_video_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"missing/clip\.mp4: cannot be written"):
        write(tmp_path / "missing" / "clip.mp4", pictures(2))
    with pytest.raises(VideoError, match="cannot be written: No space left on device"):
        write(Path("/dev/full"), pictures(20))


def test_an_encoder_that_fails_is_named_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        width, height = SIZE[1], SIZE[0]

        def encode(self, frame: object) -> None:
            raise av.error.ExternalError(1, "Generic error in an external library")

    writer = rf.VideoWriter(tmp_path / "clip.mp4", RATE)
    monkeypatch.setattr(writer, "_begun", lambda picture: Failing())
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be written: Generic error"):
        writer.add(next(pictures(1)), 0.0)
    writer._stream = Failing()  # type: ignore[assignment]
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be written: Generic error"):
        writer.close()
    writer.close()
