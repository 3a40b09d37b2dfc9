"""From the boxes and scores of queries to objects, each said once.

Shape letters: Q queries, K classes, P objects.
"""

from __future__ import annotations

from torch import Tensor

from referent.layers.suppression import non_maximum_suppression
from referent.models.base import Found
from referent.models.unirefpp.boxes import overlaps

# Of the official evaluation: boxes of one class that overlap more are one object, and COCO counts so many of a picture.
_SAME_OBJECT, _MOST = 0.7, 100
# With hundreds of classes, looking at all Q x K pairs would take long and find nothing more.
_CANDIDATES = 1000


def told_apart(boxes: Tensor, scores: Tensor) -> Found:
    """The best boxes, without those that overlap a better one of their class.

    Args:
        boxes: (Q, 4) left, top, right, bottom.
        scores: (Q, K) in [0, 1].
    """
    best, order = scores.flatten().topk(min(_CANDIDATES, scores.numel()))
    queries, labels = order // scores.shape[1], order % scores.shape[1]
    candidates = boxes[queries]
    same = (overlaps(candidates[:, None], candidates)[0] > _SAME_OBJECT) & (labels[:, None] == labels)
    kept = non_maximum_suppression(len(labels), same.cpu().numpy().__getitem__, _MOST)
    return Found(candidates[kept], best[kept], labels[kept])
