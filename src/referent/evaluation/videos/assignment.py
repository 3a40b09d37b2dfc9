"""Which answer belongs to which object, where nobody says so: the assignment with the greatest sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_assignment(scores: NDArray[np.float64]) -> list[int]:
    """For each row a column of its own, such that the sum of the scores is as great as can be.

    Shortest augmenting paths with potentials (Jonker and Volgenant, 1987), in the order of rows; O(N² M).

    Args:
        scores: (N, M) finite, with N <= M.

    Returns:
        N different columns.
    """
    rows, columns = scores.shape
    costs = -scores
    # Column `columns` stands for "none yet": a path begins there.
    of_row, of_column = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)
    for row in range(rows):
        owner[columns] = row
        column, came_from = columns, np.full(columns, columns)
        shortest, seen = np.full(columns, np.inf), np.zeros(columns + 1, dtype=bool)
        while owner[column] != -1:
            seen[column] = True
            reduced = costs[owner[column]] - of_row[owner[column]] - of_column[:columns]
            open_columns = ~seen[:columns]
            better = open_columns & (reduced < shortest)
            shortest[better], came_from[better] = reduced[better], column
            following = int(np.argmin(np.where(open_columns, shortest, np.inf)))
            step = shortest[following]
            of_row[owner[seen]] += step
            of_column[seen] -= step
            shortest[open_columns] -= step
            column = following
        while column != columns:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    found = [0] * rows
    for column in range(columns):
        if owner[column] != -1:
            found[owner[column]] = column
    return found
