"""From Universal Dependencies to the scheme of spaCy's English pipelines (ClearNLP's labels; Choi and Palmer 2012).

UD hangs function words on content words, ClearNLP mostly the other way round. What changes places: copulas become
heads of their predicates, prepositions heads of their nouns, the last part of a name the head of the others, and each
conjunct hangs on the one before. All else is a new label on an old arc. Tags are Penn's in both.
"""

from __future__ import annotations

from itertools import pairwise

from referent.parsing.treebank.tree import Tree

NEGATIONS = frozenset({"not", "n't", "n’t", "nt", "never"})
# What hangs on a predicate in UD and on its verb here. Modifiers of the predicate itself stay with it.
OF_THE_CLAUSE = frozenset(
    "nsubj nsubj:pass nsubj:outer csubj csubj:outer aux mark "
    "advcl parataxis discourse expl vocative cc dislocated".split()
)
# Adverbs between verb and adjective that speak of the clause ("is still good"), not of the degree ("is very good").
CLAUSE_ADVERBS = NEGATIONS | frozenset(
    "also already always actually again ever generally just likely maybe now often only perhaps probably "
    "sometimes soon still then therefore thus usually yet".split()
)
# A preposition takes the label of its noun where that says what the phrase does; otherwise it is a plain `prep`.
KEPT_BY_PREPOSITIONS = frozenset(
    "root conj acl:relcl advcl:relcl advcl ccomp parataxis appos list csubj nsubj nsubj:outer nsubj:pass".split()
)
LABELS = {
    "root": "ROOT",
    "nsubj:pass": "nsubjpass",
    "nsubj:outer": "nsubj",
    "csubj:pass": "csubjpass",
    "csubj:outer": "csubj",
    "obj": "dobj",
    "iobj": "dative",
    "obl": "npadvmod",
    "obl:unmarked": "npadvmod",
    "obl:agent": "agent",
    "nmod:poss": "poss",
    "nmod:unmarked": "npadvmod",
    "nmod:desc": "compound",
    "vocative": "npadvmod",
    "dislocated": "dep",
    "advcl:relcl": "relcl",
    "acl:relcl": "relcl",
    "discourse": "intj",
    "aux:pass": "auxpass",
    "cop": "aux",
    "det:predet": "predet",
    "cc:preconj": "preconj",
    "compound:prt": "prt",
    "flat": "compound",
    "fixed": "advmod",
    "case": "prep",
    "list": "dep",
    "orphan": "dep",
    "goeswith": "dep",
    "reparandum": "dep",
}


def to_english_scheme(universal: Tree) -> Tree:
    """A tree of Universal Dependencies in the scheme of spaCy's English pipelines.

    Args:
        universal: labels of UD version 2 as English treebanks use them; it is left as it is.
    """
    tree = universal.copy()
    _copulas_become_heads(tree)
    _names_end_in_their_head(tree)
    _conjuncts_form_chains(tree)
    _prepositions_become_heads(tree)
    _gerunds_hang_on_prepositions(tree)
    tree.deps = [_label(tree, index) for index in range(len(tree))]
    _what_there_is(tree)
    return tree


def _copulas_become_heads(tree: Tree) -> None:
    for verb in range(len(tree)):
        if tree.deps[verb] == "cop":
            predicate = tree.heads[verb]
            moved = [child for child in tree.children(predicate) if _belongs_to_verb(tree, child, verb, predicate)]
            tree.replace(predicate, verb)
            tree.deps[predicate] = _predicate_label(tree, predicate)
            for child in moved:
                tree.hang(child, verb)


def _belongs_to_verb(tree: Tree, child: int, verb: int, predicate: int) -> bool:
    dep = tree.deps[child]
    siblings = tree.children(predicate)
    if child == verb:
        return False
    if any(tree.deps[each] == "nsubj:outer" for each in siblings):
        # "The answer is that Edwards knows": the predicate is a clause with a subject of its own.
        return child < verb
    if dep in OF_THE_CLAUSE:
        return True
    if dep == "punct":
        inner = [each for each in siblings if tree.deps[each] != "punct" and each > predicate]
        return child < verb or child > max([predicate, *inner])
    if dep == "advmod":
        of_degree = _is_adjective(tree, predicate) and tree.words[child].lower() not in CLAUSE_ADVERBS
        return not (verb < child < predicate and of_degree)
    if dep.startswith("obl"):
        return child < verb or not _is_adjective(tree, predicate)
    if dep == "conj":
        return tree.tags[child].startswith("VB") or any(
            tree.deps[each] in ("cop", "nsubj", "aux") for each in tree.children(child)
        )
    return False


def _predicate_label(tree: Tree, predicate: int) -> str:
    if any(tree.deps[child] == "case" and tree.tags[child] != "POS" for child in tree.children(predicate)):
        return "obl"
    tag = tree.tags[predicate]
    if tag.startswith("VB"):
        return "ccomp"
    if tag in ("RB", "WRB"):
        return "advmod"
    return "acomp" if _is_adjective(tree, predicate) else "attr"


def _is_adjective(tree: Tree, index: int) -> bool:
    return tree.tags[index][:2] in ("JJ", "RB")


def _names_end_in_their_head(tree: Tree) -> None:
    for first in range(len(tree)):
        rest = [child for child in tree.children(first) if tree.deps[child] == "flat" and child > first]
        if rest:
            last = rest[-1]
            others = [child for child in tree.children(first) if child != last]
            tree.replace(first, last)
            tree.deps[first] = "compound"
            for child in others:
                tree.hang(child, last)


def _conjuncts_form_chains(tree: Tree) -> None:
    series = [[child for child in tree.children(head) if tree.deps[child] == "conj"] for head in range(len(tree))]
    for head, conjuncts in enumerate(series):
        previous = head
        for conjunct in conjuncts:
            for child in tree.children(conjunct):
                if child < conjunct and tree.deps[child] in ("cc", "punct") and previous < conjunct:
                    tree.hang(child, previous)
            tree.hang(conjunct, previous)
            previous = conjunct


def _prepositions_become_heads(tree: Tree) -> None:
    outermost: dict[int, int] = {}
    for noun in range(len(tree)):
        chain = _prepositions(tree, noun)
        if chain:
            outermost[noun] = chain[0]
            _lift(tree, noun, chain)
            before = tree.heads[chain[0]]
            # "from armies but from tactics": the second preposition is the conjunct, and of the first one.
            if tree.deps[chain[0]] == "conj" and before in outermost:
                for child in tree.children(before):
                    if before < child < chain[0] and tree.deps[child] in ("cc", "punct"):
                        tree.hang(child, outermost[before])
                tree.hang(chain[0], outermost[before])


def _prepositions(tree: Tree, noun: int) -> list[int]:
    cases = [
        child
        for child in tree.children(noun)
        if tree.deps[child] == "case" and child < noun and tree.tags[child] != "POS"
    ]
    # "because of", "instead of": UD makes the later words hang on the first.
    return sorted([*cases, *(fixed for case in cases for fixed in tree.children(case) if tree.deps[fixed] == "fixed")])


def _lift(tree: Tree, noun: int, chain: list[int]) -> None:
    first, label = chain[0], tree.deps[noun]
    children = [child for child in tree.children(noun) if child not in chain]
    tree.replace(noun, first)
    tree.deps[first] = label if label in KEPT_BY_PREPOSITIONS else _preposition_label(tree, first, label)
    for outer, inner in pairwise(chain):
        tree.hang(inner, outer, "prep")
    if [tree.words[index].lower() for index in chain[:2]] == ["next", "to"]:
        tree.tags[first] = "RB"
    tree.hang(noun, chain[-1], "pobj")
    last = max([noun, *(child for child in children if tree.deps[child] != "punct")])
    for child in children:
        if tree.deps[child] == "punct" and (child < first or (child > last and label in KEPT_BY_PREPOSITIONS)):
            tree.hang(child, tree.heads[first])
        elif child < first or tree.deps[child].startswith("nsubj"):
            tree.hang(child, first)


def _preposition_label(tree: Tree, preposition: int, noun_label: str) -> str:
    if noun_label == "obl:agent":
        return "agent"
    if tree.words[preposition].lower() == "next":
        return "advmod"
    return {"JJ": "amod", "RB": "advmod"}.get(tree.tags[preposition], "prep")


def _gerunds_hang_on_prepositions(tree: Tree) -> None:
    """ "by doing" is a clause with a marker in UD; here a preposition with a clause for its object."""
    for marker in range(len(tree)):
        verb = tree.heads[marker]
        if tree.deps[marker] != "mark" or tree.tags[marker] != "IN" or tree.tags[verb] != "VBG" or verb < marker:
            continue
        siblings = [child for child in tree.children(verb) if child != marker]
        if any(tree.deps[child].startswith("nsubj") for child in siblings):
            continue
        label = tree.deps[verb]
        tree.replace(verb, marker)
        tree.deps[marker] = label if label in ("root", "conj") else "prep"
        tree.deps[verb] = "pcomp"
        for child in siblings:
            if child < marker:
                tree.hang(child, tree.heads[marker] if tree.deps[child] == "punct" else marker)


def _label(tree: Tree, index: int) -> str:
    dep, tag = tree.deps[index], tree.tags[index]
    head = tree.heads[index]
    if dep in ("obl", "nmod") and tag in ("IN", "TO"):
        return "prep"
    if dep == "advmod":
        if tree.words[index].lower() in NEGATIONS:
            return "neg"
        return "quantmod" if tree.tags[head] == "CD" and tree.deps[head] == "nummod" else "advmod"
    if dep == "mark":
        return "aux" if tag == "TO" else "mark"
    if dep == "case" and tag == "POS":
        return "case"
    if dep == "nmod:unmarked" and tag == "CD":
        return "nummod"
    if dep == "nummod" and tag != "CD":
        return "amod"
    if dep == "expl" and tag != "EX":
        return "nsubj" if index < head else "dobj"
    if dep == "xcomp" and not tag.startswith("VB") and tag not in ("IN", "TO"):
        with_object = any(tree.deps[child] in ("obj", "dobj") for child in tree.children(head))
        return "oprd" if with_object else "acomp" if tag.startswith("JJ") else "attr"
    return LABELS.get(dep, dep)


def _what_there_is(tree: Tree) -> None:
    """ "there is a woman": not the subject but what it says that there is."""
    for index in range(len(tree)):
        if tree.deps[index] == "expl":
            verb = tree.heads[index]
            for child in tree.children(verb):
                if child > verb and tree.deps[child] == "nsubj":
                    tree.deps[child] = "attr"
