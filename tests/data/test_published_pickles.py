"""Pickles of plain containers, and nothing else."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest

from referent.data.published.pickles import read_pickle
from referent.errors import DataError


class Runs:
    """Unpickled freely, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = [{"text": "naïve", "ids": (1, -(2**70)), "none": None, "true": True, "real": 0.5, "nested": [[], {}]}]
    assert read_pickle(written(tmp_path, pickle.dumps(content, protocol))) == content


def test_byte_strings_of_python_2_become_text(tmp_path: Path) -> None:
    # What Python 2 writes for ['caf\xc3\xa9', 'caf\xe9', 'cat'] of byte strings, protocol 2.
    content = b"\x80\x02]q\x00(U\x05caf\xc3\xa9q\x01U\x04caf\xe9q\x02U\x03catq\x03e."
    assert read_pickle(written(tmp_path, content)) == ["café", "café", "cat"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    path = written(tmp_path, pickle.dumps([{"ref_id": Runs(victim)}], protocol))
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: not a pickle that can be used: it asks for "):
        read_pickle(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch victim'\ntR.",
        b"(S'touch victim'\nios\nsystem\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch victim\x85R.",
        b"\x80\x02\x82\x01.",
        b"Pid\n.",
    ],
)
def test_every_way_to_a_name_is_closed(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: "):
        read_pickle(written(tmp_path, content))
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("content", [collections.OrderedDict(a=1), np.float64(1), {1, 2}, ValueError("x")])
def test_what_is_harmless_but_not_plain_is_refused_too(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match="only plain lists, dicts, text and numbers"):
        read_pickle(written(tmp_path, pickle.dumps([content], 2)))


def test_a_pickle_that_is_cut_off_anywhere_is_named(tmp_path: Path) -> None:
    whole = pickle.dumps([{"ref_id": number, "sentences": ["a cat"] * 3} for number in range(4)], 2)
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"refs\(unc\)\.p: "):
            read_pickle(written(tmp_path, whole[:length]))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>not found</html>", b"\xff\xd8\xff", b"[1, 2]", b"."])
def test_other_files_are_no_pickles(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: "):
        read_pickle(written(tmp_path, content))


def test_a_missing_pickle_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.p: no such file"):
        read_pickle(tmp_path / "gone.p")
    with pytest.raises(DataError, match="cannot be read"):
        read_pickle(tmp_path)
