"""How often the resolver did what: the counters that the official code prints after a run, a regression signal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from referent.models.reclip.resolver import Resolution
from referent.models.reclip.tree import Entity


def count(resolution: Resolution) -> Counter[str]:
    """The counters of one expression; add them up.

    `n_total` expressions; `n_full_expr` of them answered by the whole expression alone, `n_rec` with the tree, which
    has relations in `n_rec_rel` and superlatives in `n_rec_sup`; `n_0th_noun` where the first noun phrase was tried;
    `n_rel` and `n_sup` relations and superlatives in all, and by kind (`n_rel_left`, ...).
    """
    counts = Counter(n_total=1)
    tree = resolution.tree
    counts["n_0th_noun"] += tree is not None and tree.by_fallback
    if not resolution.used or tree is None or tree.root is None:
        counts["n_full_expr"] += 1
        return +counts
    entities = list(_evaluated(tree.root))
    relations = [each.kind for entity in entities for each in entity.relations if each.kind is not None]
    superlatives = [each.kind for entity in entities for each in entity.superlatives]
    counts["n_rec"] += 1
    counts["n_rec_rel"] += bool(relations)
    counts["n_rec_sup"] += bool(superlatives)
    counts["n_rel"] += len(relations)
    counts["n_sup"] += len(superlatives)
    counts.update(f"n_rel_{kind}" for kind in relations)
    counts.update(f"n_sup_{kind}" for kind in superlatives)
    return +counts


def _evaluated(entity: Entity) -> Iterator[Entity]:
    """An entity and those to which a relation with a keyword leads: the others are only words."""
    yield entity
    for relation in entity.relations:
        if relation.kind is not None:
            yield from _evaluated(relation.child)
