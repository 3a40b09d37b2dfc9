from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referent.errors import DataError
from referent.parsing.treebank.conllu import read_conllu
from referent.parsing.treebank.english import to_english_scheme
from referent.parsing.treebank.fragments import noun_phrases, without_punctuation
from referent.parsing.treebank.positions import PositionPhrases, patterns
from referent.parsing.treebank.tree import Tree

SUIT = "the/DT<1:det man/NN<6:nsubj in/IN<5:case a/DT<5:det dark/JJ<5:amod suit/NN<1:nmod left/VBD<6:root ./.<6:punct"
UD_LABELS = (
    "nsubj obj obl nmod case cop mark conj cc flat fixed punct advmod amod acl:relcl xcomp expl nsubj:outer obl:agent"
).split()
TAGS = "NN IN VBG VBZ JJ RB TO CC EX CD POS , WDT".split()


def tree_of(line: str) -> Tree:
    """A tree of "word/TAG<head:label", heads counted from 0."""
    rows = [word.rsplit("/", 1) for word in line.split()]
    tags, rest = zip(*(tail.split("<") for _, tail in rows), strict=True)
    heads, deps = zip(*(each.split(":", 1) for each in rest), strict=True)
    return Tree([word for word, _ in rows], list(tags), [int(head) for head in heads], list(deps), [True] * len(rows))


def shown(tree: Tree) -> str:
    """A tree as "word<head word:label" without the root's head."""
    heads = ["" if head == index else tree.words[head] for index, head in enumerate(tree.heads)]
    return " ".join(f"{word}<{head}:{dep}" for word, head, dep in zip(tree.words, heads, tree.deps, strict=True))


def is_one_tree(tree: Tree) -> bool:
    roots = [index for index, head in enumerate(tree.heads) if head == index]
    return len(roots) == 1 and tree.subtree(roots[0]) == list(range(len(tree)))


@pytest.mark.parametrize(
    ("universal", "english"),
    [
        pytest.param(
            SUIT,
            "the<man:det man<left:nsubj in<man:prep a<suit:det dark<suit:amod suit<in:pobj left<:ROOT .<left:punct",
            id="a preposition is the head of its noun",
        ),
        pytest.param(
            "guy/NN<0:root not/RB<3:advmod next/IN<3:case to/IN<3:case us/PRP<0:nmod".replace("<3", "<4"),
            "guy<:ROOT not<next:neg next<guy:advmod to<next:prep us<to:pobj",
            id="prepositions form a chain, and what stood before them hangs on the first",
        ),
        pytest.param(
            "plate/NN<6:nsubj is/VBZ<6:cop very/RB<3:advmod close/JJ<3:root".replace("<6", "<3"),
            "plate<is:nsubj is<:ROOT very<close:advmod close<is:acomp",
            id="a copula is the head of its adjective",
        ),
        pytest.param(
            "man/NN<4:nsubj is/VBZ<4:cop to/IN<4:case the/DT<4:det left/NN<4:root of/IN<6:case us/PRP<4:nmod",
            "man<is:nsubj is<:ROOT to<is:prep the<left:det left<to:pobj of<left:prep us<of:pobj",
            id="a copula is the head of its preposition",
        ),
        pytest.param(
            "dogs/NNS<0:root ,/,<2:punct cats/NNS<0:conj and/CC<4:cc cows/NNS<0:conj",
            "dogs<:ROOT ,<dogs:punct cats<dogs:conj and<cats:cc cows<cats:conj",
            id="each conjunct hangs on the one before",
        ),
        pytest.param(
            "from/IN<1:case us/PRP<1:root and/CC<4:cc from/IN<4:case them/PRP<1:conj",
            "from<:ROOT us<from:pobj and<from:cc from<from:conj them<from:pobj",
            id="of two prepositional phrases the second hangs on the first's preposition",
        ),
        pytest.param(
            "old/JJ<1:amod John/NNP<1:root Q./NNP<1:flat Smith/NNP<1:flat",
            "old<Smith:amod John<Smith:compound Q.<Smith:compound Smith<:ROOT",
            id="a name ends in its head",
        ),
        pytest.param(
            "left/VBN<0:root by/IN<2:mark doing/VBG<0:advcl it/PRP<2:obj",
            "left<:ROOT by<left:prep doing<by:pcomp it<doing:dobj",
            id="a gerund hangs on its preposition",
        ),
        pytest.param(
            "there/EX<1:expl is/VBZ<1:root a/DT<3:det dog/NN<1:nsubj",
            "there<is:expl is<:ROOT a<dog:det dog<is:attr",
            id="what there is is no subject",
        ),
        pytest.param(
            "dog/NN<2:nmod:poss 's/POS<0:case hat/NN<2:root seen/VBN<2:acl by/IN<5:case us/PRP<3:obl:agent",
            "dog<hat:poss 's<dog:case hat<:ROOT seen<hat:acl by<seen:agent us<by:pobj",
            id="the possessive mark stays, an agent is called so",
        ),
    ],
)
def test_universal_dependencies_become_those_of_english_pipelines(universal: str, english: str) -> None:
    tree = tree_of(universal)
    before = tree.copy()
    assert shown(to_english_scheme(tree)) == english
    assert tree == before


@given(st.data())
def test_whatever_the_tree_its_conversion_is_one_tree_over_the_same_words(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 10))
    order = data.draw(st.permutations(range(count)))
    heads = [0] * count
    for place, index in enumerate(order):
        heads[index] = order[data.draw(st.integers(0, place - 1))] if place else index
    deps = data.draw(st.lists(st.sampled_from(UD_LABELS), min_size=count, max_size=count))
    deps[order[0]] = "root"
    tags = data.draw(st.lists(st.sampled_from(TAGS), min_size=count, max_size=count))
    tree = Tree([f"w{index}" for index in range(count)], tags, heads, deps, [True] * count)
    english = to_english_scheme(tree)
    assert english.words == tree.words
    assert is_one_tree(english)
    assert [dep == "ROOT" for dep in english.deps] == [head == index for index, head in enumerate(english.heads)]


def test_noun_phrases_are_cut_whole_and_with_one_modifier_with_and_without_articles() -> None:
    universal = tree_of(
        "We/PRP<1:nsubj saw/VBD<1:root The/DT<3:det man/NN<1:obj in/IN<6:case a/DT<6:det suit/NN<3:nmod "
        "standing/VBG<3:acl there/RB<7:advmod !/.<1:punct"
    )
    rng = random.Random(0)
    found = {phrase.text for _ in range(20) for phrase in noun_phrases(to_english_scheme(universal), rng)}
    assert found == {
        *("the man in a suit standing there", "man in suit standing there"),
        *("the man in a suit", "man in suit", "the man standing there", "man standing there"),
        *("a suit", "suit"),
    }


def test_a_noun_phrase_keeps_its_own_tree() -> None:
    english = to_english_scheme(tree_of(SUIT))
    phrases = {phrase.text: phrase for phrase in noun_phrases(english, random.Random(0))}
    assert shown(phrases["the man in a dark suit"]) == (
        "the<man:det man<:ROOT in<man:prep a<suit:det dark<suit:amod suit<in:pobj"
    )


def test_marks_go_and_hyphens_inside_words_stay() -> None:
    universal = tree_of("T/NN<2:compound -/HYPH<0:punct Shirt/NN<2:root ,/,<4:punct right/JJ<2:amod ./.<2:punct")
    plain = without_punctuation(to_english_scheme(universal))
    assert plain.words == ["t", "-", "shirt", "right"]
    assert is_one_tree(plain)


def test_position_phrases_are_trees_of_the_treebanks_words() -> None:
    trees = [to_english_scheme(tree_of(SUIT)), to_english_scheme(tree_of("running/VBG<1:acl cow/NN<1:root"))]
    trees[1].tags[0] = "VBG"
    positions = PositionPhrases(trees, ["zebra"], random.Random(1))
    phrases = [positions.phrase() for _ in range(400)]
    assert all(is_one_tree(phrase) for phrase in phrases)
    assert all(phrase.deps[phrase.root] == "ROOT" and phrase.deps.count("ROOT") == 1 for phrase in phrases)
    words = {word for phrase in phrases for word in phrase.words}
    assert {"man", "suit", "running", "left", "closest", "zebra", "."} <= words
    assert not words & {"*", "+", "~", "%"}
    assert len({phrase.text for phrase in phrases}) > 200


def test_every_pattern_has_its_root_and_heads_inside_itself() -> None:
    lists = patterns()
    for parts, weight in [*lists.before, *lists.place, *lists.looks, *lists.whole]:
        assert weight > 0
        for number, part in enumerate(parts):
            assert part.dep, parts
            assert part.head is None or part.head in range(len(parts)), parts
            assert part.head != number, parts
            assert bool(part.tag) != (part.words in {("*",), ("+",)}), parts
            assert (part.dep == "ROOT") == (part.head is None and (parts, weight) in lists.whole), parts


def test_treebanks_are_read_with_their_multi_word_tokens_and_spaces(tmp_path: Path) -> None:
    lines = (
        "# text = I don't.\n"
        "1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n"
        "2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
        "2\tdo\tdo\tVERB\tVBP\t_\t0\troot\t_\t_\n"
        "3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_\n"
        "3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t2:conj\t_\n"
        "4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_\n"
    )
    (tmp_path / "two.conllu").write_text(lines + "\n" + lines)
    trees = list(read_conllu(tmp_path / "two.conllu"))
    assert [tree.text for tree in trees] == ["I don't.", "I don't."]
    assert shown(trees[0]) == "I<do:nsubj do<:root n't<do:advmod .<do:punct"
    with gzip.open(tmp_path / "two.conllu.gz", "wt") as file:
        file.write(lines)
    assert list(read_conllu(tmp_path / "two.conllu.gz")) == trees[:1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1\tI\tI\n\n", r"line 1: expected 10 columns .* found 3"),
        ("1\tI\tI\tPRON\tPRP\t_\t4\tnsubj\t_\t_\n\n", "before line 2: expected heads from 0 to 1"),
        ("1\tI\tI\tPRON\tPRP\t_\t1\tnsubj\t_\t_\n", "line 1: expected one root, found 0"),
    ],
)
def test_a_broken_treebank_is_named_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "broken.conllu"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        list(read_conllu(path))


def test_a_treebank_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.conllu.gz").write_bytes(gzip.compress(b"1\tI" * 9000)[:40])
    for name in ("none.conllu", "cut.conllu.gz"):
        with pytest.raises(DataError, match=rf"{name}: expected a CoNLL-U file"):
            list(read_conllu(tmp_path / name))
