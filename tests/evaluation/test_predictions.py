from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_stub import columns, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referent.errors import DataError
from referent.evaluation.predictions import Answer, Header, PredictionFile, read
from referent.rle import encode

HEADER = Header("toy", "abc", "float32", "data", "val", ["referent/1"], 0.5)
SAMPLES = {str(n): sample(str(n), "ä.png", f"phrase {n} – ünï", columns(n)) for n in range(4)}


def answer(number: int) -> Answer:
    return Answer(True, number / 10, number % 2 == 0, ((number, number + 1, number),), encode(columns(number)))


def written(path) -> None:
    with PredictionFile(path, HEADER) as file:
        for number, one in enumerate(SAMPLES.values()):
            file.write([(one, answer(number))])


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "predictions.jsonl"
    written(path)
    with PredictionFile(path, HEADER) as file:
        found = dict(file.earlier(SAMPLES))
    assert found == {str(number): replace(answer(number), rle=None) for number in range(4)}
    assert [line["phrase"] for line in read(path)] == [str(one.reference) for one in SAMPLES.values()]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_a_file_cut_anywhere_keeps_every_whole_line_and_goes_on(tmp_path, data):
    path = tmp_path / "predictions.jsonl"
    path.unlink(missing_ok=True)
    written(path)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    with PredictionFile(path, HEADER) as file:
        found = dict(file.earlier(SAMPLES))
        assert len(found) == max(0, content[:cut].count(b"\n") - 1)
        file.write((one, answer(int(name))) for name, one in SAMPLES.items() if name not in found)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    ["not JSON\n", '{"images": []}\n', "[]\n", '{"referent_predictions": 1}\n', "{}", "no end of line", "\x00\xff"],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"mine\.jsonl: expected predictions"):
        PredictionFile(path, HEADER)
    assert path.read_bytes() == content.encode("latin-1")


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"referent_predictions": 2}\n')
    with pytest.raises(DataError, match="expected format 1, found 2"):
        PredictionFile(path, HEADER)


def test_a_broken_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "predictions.jsonl"
    written(path)
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({"id": "1"})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="line 3: expected a prediction"):
        list(read(path))


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere/predictions\.jsonl: cannot be written"):
        PredictionFile(tmp_path / "nowhere" / "predictions.jsonl", HEADER)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "predictions.jsonl"
    with PredictionFile(path, HEADER) as file:
        file._stream.close()
        file._stream = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 (closed by the prediction file)
        with pytest.raises(DataError, match=r"predictions\.jsonl: cannot be written: No space left"):
            file.write([(SAMPLES["0"], answer(0))])
