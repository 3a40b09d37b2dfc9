"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from referent.files import atomic_path, atomic_write


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_file_gets_the_permissions_of_any_new_file(tmp_path: Path, umask: int) -> None:
    atomic_write(tmp_path / "plain.txt", "text")
    with atomic_path(tmp_path / "replaced.txt") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT, 0o600))
    for name in ("plain.txt", "replaced.txt"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_writing_never_changes_the_umask_which_all_threads_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(mask: int) -> int:
        raise AssertionError(f"umask set to {mask:o}")

    monkeypatch.setattr(os, "umask", changed)
    atomic_write(tmp_path / "file.txt", "text")
    assert (tmp_path / "file.txt").read_text() == "text"


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("earlier")
    with pytest.raises(UnicodeEncodeError), atomic_path(path) as temporary:
        temporary.write_text("half \udc80", encoding="utf-8")
    assert [left.read_text() for left in tmp_path.iterdir()] == ["earlier"]
