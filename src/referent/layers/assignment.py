"""Which column each row takes, so that all together cost least and no two take the same (the Hungarian method)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cheapest assignment, by shortest augmenting paths (Jonker and Volgenant, Computing 1987).

    Args:
        cost: (G, S) finite, G at most S.

    Returns:
        (G,) the column of each row.
    """
    rows, columns = cost.shape
    row_prices, column_prices = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for row in range(rows):
        # Dijkstra's search from this row to a free column, over reduced costs, which are never negative.
        distance, before = np.full(columns, np.inf), np.full(columns, -1)
        reached = np.zeros(columns, dtype=bool)
        path: list[tuple[int, int, float]] = []
        here, column, walked = row, -1, 0.0
        while here >= 0:
            through = walked + cost[here] - row_prices[here] - column_prices
            nearer = ~reached & (through < distance)
            distance[nearer], before[nearer] = through[nearer], column
            path.append((here, column, walked))
            column = int(np.argmin(np.where(reached, np.inf, distance)))
            reached[column], walked, here = True, float(distance[column]), int(owner[column])
        for passed_row, passed_column, at in path:
            row_prices[passed_row] += walked - at
            if passed_column >= 0:
                column_prices[passed_column] -= walked - at
        while column >= 0:
            previous = int(before[column])
            owner[column] = row if previous < 0 else owner[previous]
            column = previous
    taken = np.flatnonzero(owner >= 0)
    found = np.empty(rows, dtype=np.int64)
    found[owner[taken]] = taken
    return found
