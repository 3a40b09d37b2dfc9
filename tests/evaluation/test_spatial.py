"""The spatial experiment: with models that know everything, nothing, or only things; and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from referent.cli.spatial import TYPES
from referent.data.scenes import pairs
from referent.data.scenes.pairs import TASKS, pair_examples
from referent.data.scenes.relations import relations
from referent.data.scenes.world import Scene
from referent.encoders.clip import CLIPResNet, CLIPTextEncoder
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.clip_weights import CLIPWeights
from referent.encoders.keymap import prefixed, to_theirs
from referent.errors import DataError
from referent.evaluation.spatial import spatial_shares, whole_picture
from referent.grounding.features import ProposalEncoder

SIZE = (80, 120)
EXAMPLES = list(pair_examples(20, 0, SIZE))
SCENES = {
    picture.tobytes(): scene
    for example in EXAMPLES
    for picture, scene in zip(example.pictures, example.scenes, strict=True)
}
WORDS = {"to the left of": "left", "to the right of": "right", "in front of": "front", "behind": "behind"}


def things_in(text: str, scene: Scene) -> float:
    return sum(f"a {thing.look.colour} {thing.look.shape}" in text for thing in scene.things)


def oracle(picture: Image.Image) -> Callable[[str], float]:
    """Knows every scene by its picture."""
    scene = SCENES[np.asarray(picture).tobytes()]
    names = [f"a {thing.look.colour} {thing.look.shape}" for thing in scene.things]

    def score(text: str) -> float:
        for words, relation in WORDS.items():
            if f" {words} " in text:
                one, other = (names.index(name) for name in text.removesuffix(".").split(f" {words} "))
                return float(relations(scene)[relation][one, other])
        return things_in(text, scene)

    return score


def bag_of_things(picture: Image.Image) -> Callable[[str], float]:
    """Sees things and no relation between them, as CLIP is said to."""
    scene = SCENES[np.asarray(picture).tobytes()]
    return lambda text: things_in(text, scene)


@pytest.fixture(scope="module")
def clip() -> CLIPPair:
    torch.manual_seed(0)
    image = CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2)
    text = CLIPTextConfig(width=64, layers=1, heads=1, embed=16)
    return CLIPPair(
        CLIPWeights(image, text, CLIPResNet(image).state_dict(), CLIPTextEncoder(text).state_dict()), "tiny"
    )


def test_an_oracle_answers_everything():
    shares = spatial_shares({"oracle": oracle}, EXAMPLES, replicates=50)["oracle"]
    for task in TASKS:
        right = shares[task].overall.right
        assert (right.value, right.low, right.high) == (1, 1, 1)
        assert shares[task].overall.questions == 20


def test_a_model_without_relations_knows_things_only_and_ties_are_not_right():
    shares = spatial_shares({"bag": bag_of_things}, EXAMPLES, replicates=0)["bag"]
    assert [shares[task].overall.right.value for task in TASKS] == [0, 1, 0, 1]


def test_relations_are_counted_one_by_one():
    tasks = spatial_shares({"oracle": oracle}, EXAMPLES, replicates=0)["oracle"]
    by_relation = tasks["text, spatial"].relations
    assert set(by_relation) <= {"left", "right", "front", "behind"}
    assert sum(share.questions for share in by_relation.values()) == 20
    assert tasks["text, non-spatial"].relations == {}


def test_a_clip_answers_by_logits_of_whole_pictures(clip):
    score = whole_picture(ProposalEncoder([clip], ("crop",)))(Image.fromarray(EXAMPLES[0].pictures[0]))
    texts = ("a red cube to the left of a blue sphere.", "a red cube and a blue sphere")
    assert score(texts[0]) != score(texts[1])
    both = whole_picture(ProposalEncoder([clip, clip], ("crop",)))(Image.fromarray(EXAMPLES[0].pictures[0]))
    assert both(texts[0]) == pytest.approx(2 * score(texts[0]), rel=1e-5)


def test_no_examples_are_refused():
    with pytest.raises(DataError, match="expected at least one, found none"):
        spatial_shares({"oracle": oracle}, [])


def test_the_verb_knows_how_many_types_there_are():
    assert len(pairs.TYPES) == TYPES


@pytest.fixture
def weights(tmp_path: Path, clip: CLIPPair) -> Path:
    ours = {f"image.{name}": value for name, value in clip.image.state_dict().items() if "connect" not in name}
    ours |= {f"text.{name}": value for name, value in clip.text.state_dict().items()}
    rows = prefixed(image_rows(clip.image.config), ours="image.") + prefixed(text_rows(clip.text.config), ours="text.")
    torch.save(to_theirs(ours, rows), tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


def test_the_verb_writes_the_same_table_result_and_plot_every_time(run, tmp_path, weights):
    (tmp_path / "both.yaml").write_text("clips: [clip.pt, clip.pt]\n")
    arguments = ("spatial", weights, tmp_path / "both.yaml", "--n", 2)
    written = []
    for name in ("one", "other"):
        files = tmp_path / f"{name}.json", tmp_path / f"{name}.png"
        ended = run(*arguments, "--out", files[0], "--draw", files[1])
        assert ended.code == 0, ended.err
        assert "text, non-spatial" in ended.out
        content = json.loads(files[0].read_text())
        content.pop("command")
        written.append((content, files[1].read_bytes()))
    assert written[0] == written[1]
    content = written[0][0]
    assert set(content["models"]) == {str(weights), str(tmp_path / "both.yaml")}
    one, both = content["models"].values()
    assert one == both
    assert one["picture, spatial"]["overall"]["questions"] == 2
    assert content["size"] == [320, 480]


def test_what_cannot_be_read_or_written_is_told_before_any_work(run, tmp_path, weights):
    assert "none.pt" in run("spatial", tmp_path / "none.pt").err
    ended = run("spatial", weights, "--draw", tmp_path / "a.bmp")
    assert (ended.code, "expected a name that ends in .png" in ended.err) == (2, True)
    assert run("spatial", weights, "--n", 277).code == 2
