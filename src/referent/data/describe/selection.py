"""Which of the many things that can be said of a picture are written down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from referent.data.describe.absences import absences
from referent.data.describe.colour import SHADES
from referent.data.describe.meanings import Meaning, Meanings
from referent.data.describe.wording import draw, realise

# How often each kind is drawn for a target, and how often each reason for a phrase that is true of nothing: position
# first, as people do (RefCOCO), then what else tells things apart.
_KINDS = {"position": 3.0, "combined": 2.0, "colour": 2.5, "relation": 2.5, "order": 1.5, "size": 1.2, "name": 1.0}
_WHYS = {"class": 3.0, "colour": 2.0, "order": 1.0, "position": 1.0, "relation": 2.0, "combined": 2.0}
# A colour that the thing never has is easy to tell; prefer those that it could have.
_COMMON_FORMS = {
    "which": 2.0,
    "at": 2.5,
    "most": 1.2,
    "corner": 1.2,
    "rank": 1.0,
    "with": 1.5,
    "ride": 1.5,
    "stand": 1.5,
    "on": 1.5,
    "next": 1.2,
}
# Phrases for a whole class in a picture: its name, and this many more.
NAMES_PER_CLASS = 2
PLURALS_PER_CLASS = 3


@dataclass(frozen=True)
class Said:
    """One phrase of a picture: its words, the indices of its targets, and its tags."""

    phrase: str
    targets: tuple[int, ...]
    tags: dict[str, str]


def select(meanings: Meanings, random: Random, per_target: int, none_share: float) -> list[Said]:
    """The phrases of one picture.

    Args:
        meanings: what can be said of it.
        random: decides; a generator of the picture's own makes the result independent of all other pictures.
        per_target: at most this many phrases for each single object, besides names and plurals.
        none_share: which share of all phrases is to be true of nothing, on average over pictures; in [0, 1).
    """
    said: dict[str, Said] = {}
    refused: set[str] = set()
    present = list(meanings.present())

    def say(meaning: Meaning) -> bool:
        text, noun = realise(meaning, random)
        if text in refused:
            return False
        earlier = said.get(text)
        if earlier is not None:
            # The same words for two things are true of neither alone.
            if earlier.targets != meaning.targets:
                refused.add(text)
                del said[text]
            return False
        tags = {"kind": meaning.kind, "name": noun.name} | ({"why": meaning.why} if meaning.why else {})
        said[text] = Said(text, meaning.targets, tags)
        return True

    _say_names(present, random, say)
    by_target: dict[int, list[Meaning]] = defaultdict(list)
    by_class: dict[str, list[Meaning]] = defaultdict(list)
    for meaning in present:
        if meaning.kind == "plural" and meaning.form not in ("all", "both", "count"):
            by_class[meaning.nouns[0].name].append(meaning)
        elif meaning.kind not in ("name", "plural"):
            by_target[meaning.targets[0]].append(meaning)
    for target in sorted(by_target):
        _say_some(_shuffled(by_target[target], _KINDS, random), per_target, say)
    for name in sorted(by_class):
        _say_some(_shuffled(by_class[name], {"plural": 1.0}, random), PLURALS_PER_CLASS, say)
    expected = len(said) * none_share / (1 - none_share)
    count = int(expected) + (random.random() < expected % 1)
    _say_some(_shuffled_absent(absences(meanings), random), count, say)
    return list(said.values())


def _say_names(present: Sequence[Meaning], random: Random, say: Callable[[Meaning], bool]) -> None:
    """The bare name of every class, then some of its synonyms and phrases for all of it."""
    by_name: dict[str, list[Meaning]] = defaultdict(list)
    for meaning in present:
        if meaning.kind == "name" and meaning.form == "label" and meaning.nouns[0].own:
            say(meaning)
        elif meaning.kind == "name" or meaning.form in ("all", "both", "count"):
            by_name[meaning.nouns[0].name].append(meaning)
    for name in sorted(by_name):
        choices = by_name[name]
        kind = choices[0].nouns[0].kind
        _say_some((random.choice(choices) for _ in range(3 * NAMES_PER_CLASS)), 1 if kind else NAMES_PER_CLASS, say)


def _say_some(meanings: Iterable[Meaning], count: int, say: Callable[[Meaning], bool]) -> None:
    done = 0
    for meaning in meanings:
        if done == count:
            return
        done += say(meaning)


def _shuffled(meanings: Sequence[Meaning], weights: dict[str, float], random: Random) -> Iterable[Meaning]:
    """Meanings in random order, kinds mixed by weight however many meanings each has."""
    left: dict[str, list[Meaning]] = defaultdict(list)
    for meaning in meanings:
        left[meaning.kind].append(meaning)
    while left:
        best = {kind: max(map(_likelihood, choices)) for kind, choices in left.items()}
        kind = draw([(kind, weights[kind] * min(1.0, best[kind])) for kind in sorted(left)], random)
        choices = left[kind]
        chosen = draw([(m, _likelihood(m)) for m in choices], random)
        choices.remove(chosen)
        if not choices:
            del left[kind]
        yield chosen


def _likelihood(meaning: Meaning) -> float:
    """How often people would say it, among other things of its kind."""
    weight = _COMMON_FORMS.get(meaning.form, 1.0)
    if meaning.form == "rank" and meaning.place == 1:
        return 0.2 * weight
    return 0.3 * weight if meaning.colour in SHADES else weight


def _shuffled_absent(meanings: Iterable[Meaning], random: Random) -> Iterable[Meaning]:
    """Phrases true of nothing in random order, reasons mixed by weight, then forms evenly."""
    left: dict[str, dict[str, list[Meaning]]] = defaultdict(lambda: defaultdict(list))
    for meaning in meanings:
        left[meaning.why][meaning.form].append(meaning)
    while left:
        why = draw([(why, _WHYS[why]) for why in sorted(left)], random)
        forms = left[why]
        form = draw([(form, 3.0 if form == "the" else 1.0) for form in sorted(forms)], random)
        chosen = forms[form].pop(random.randrange(len(forms[form])))
        if not forms[form]:
            del forms[form]
        if not forms:
            del left[why]
        yield chosen
