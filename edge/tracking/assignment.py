"""One-to-one assignment of rows to columns with the largest sum of weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.intp]


def assign(weights: npt.NDArray[np.float64], *, minimum: float) -> tuple[Index, Index]:
    """Assign rows to columns one to one for the largest sum, from pairs of weight `minimum` (> 0) or more.

    Returns the rows and columns (K,) of the pairs, in no particular order. Exact. Pairs without a competitor, for
    tracks and detections most of them, are taken at once; the Hungarian method solves the rest.
    """
    if not minimum > 0:
        raise ValueError(f"minimum: expected above 0, got {minimum}")
    is_pair = weights >= minimum
    row, column = np.nonzero(is_pair)
    is_alone = (is_pair.sum(axis=1)[row] == 1) & (is_pair.sum(axis=0)[column] == 1)
    rest_rows, rest_columns = np.unique(row[~is_alone]), np.unique(column[~is_alone])
    if len(rest_rows) == 0:
        return row, column
    rest = np.ix_(rest_rows, rest_columns)
    some_row, some_column = _hungarian(np.where(is_pair[rest], weights[rest], 0.0))
    is_wanted = is_pair[rest][some_row, some_column]
    return (
        np.concatenate([row[is_alone], rest_rows[some_row[is_wanted]]]),
        np.concatenate([column[is_alone], rest_columns[some_column[is_wanted]]]),
    )


def _hungarian(weights: npt.NDArray[np.float64]) -> tuple[Index, Index]:
    """Assign every row of (R, C) with R <= C (else every column) a partner of its own, for the largest sum.

    Shortest augmenting paths (Kuhn 1955, Munkres 1957; O(R^2 C)). Row and column 0 are the ends of the paths.
    """
    if weights.shape[0] > weights.shape[1]:
        column, row = _hungarian(weights.T)
        return row, column
    rows, columns = weights.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, np.intp)
    came_from = np.zeros(columns + 1, np.intp)
    for added in range(1, rows + 1):
        row_of[0], current = added, 0
        is_visited = np.zeros(columns + 1, bool)
        slack = np.full(columns + 1, np.inf)
        while True:
            is_visited[current] = True
            reduced = np.full(columns + 1, np.inf)
            reduced[1:] = -weights[row_of[current] - 1] - row_price[row_of[current]] - column_price[1:]
            is_better = ~is_visited & (reduced < slack)
            slack[is_better], came_from[is_better] = reduced[is_better], current
            following = int(np.argmin(np.where(is_visited, np.inf, slack)))
            step = slack[following]
            row_price[row_of[is_visited]] += step
            column_price[is_visited] -= step
            slack[~is_visited] -= step
            current = following
            if row_of[current] == 0:
                break
        while current:
            row_of[current] = row_of[came_from[current]]
            current = int(came_from[current])
    taken = np.flatnonzero(row_of[1:])
    return row_of[1:][taken] - 1, taken
