"""`referent data check` reads the data sets of videos in a folder whole, and says what is there and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from miniatures import film, write_davis, write_youtube_vos
from PIL import Image

from referent.data.videos.sources import Edition, VideoSource, video_counts, video_sources


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two data sets of which one should hold what it holds."""
    write_davis(tmp_path / "DAVIS", {"bear": film(0), "cows": film(1)})
    write_youtube_vos(tmp_path / "ytvos", {"valid": {"aaa": film(0)}}, {"aaa": "bear"})
    known = {
        "davis": VideoSource("DAVIS", "", "", "", None, (Edition("2017", "train", 1), Edition("2017", "val", 1))),
        "youtube-vos": VideoSource("YouTube-VOS", "", "", "", None, (Edition("2019", "valid", 507),)),
    }
    monkeypatch.setattr("referent.data.videos.check.VIDEO_SOURCES", known)
    return tmp_path


def test_splits_are_counted_beside_what_was_published(run: Callable[..., Any], root: Path) -> None:
    outcome = run("data", "check", root)
    assert outcome.code == 1
    begin = [number for number, first in film(0).first_seen.items() if first == 0]
    counted = ["train", "1", str(max(begin)), "0", "8", "as", "published", "2017"]
    assert counted in [line.split() for line in outcome.out.splitlines()]
    assert "other than published (507 videos 2019)" in " ".join(outcome.out.split())
    assert "MeViS: " in outcome.out
    assert run("data", "check", root / "DAVIS").code == 0


def test_damaged_frames_and_masks_are_named(run: Callable[..., Any], root: Path) -> None:
    bear = root / "DAVIS" / "JPEGImages" / "480p" / "bear"
    Image.new("RGB", (10, 20)).save(bear / "00003.jpg")
    (bear / "00004.jpg").write_bytes(b"no picture")
    (root / "DAVIS" / "Annotations" / "480p" / "bear" / "00005.png").write_bytes(b"no picture")
    outcome = run("data", "check", root / "DAVIS")
    assert outcome.code == 1
    assert "00003.jpg: 10 x 20, the first frame is 64 x 48" in outcome.out
    assert "00004.jpg" in outcome.out
    assert "00005.png: not a PNG, or cut off" in outcome.out


def test_the_tables_of_the_docs_name_every_data_set() -> None:
    sources, counts = video_sources(), video_counts()
    assert all(name in sources for name in ("DAVIS 2016, 2017", "LVOS", "MOSE", "OVIS", "Ref-DAVIS17", "MeViS"))
    assert "| YouTube-VOS 2019 | valid | 507 | 1,063 | - | its page |" in counts
