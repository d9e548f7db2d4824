# SPDX-License-Identifier: Apache-2.0
"""The best pairing of rows and columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST_EXACT = 200  # rows or columns; of more, pairing need not be the best


def possible_pairs(costs: Floats, possible: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return pairs (row, column) that are possible, of least total cost, by row.

    Of more than 200 rows and columns they are the cheapest first instead: time goes with the square of their number,
    whoever claims however many.

    Args:
        costs: (n, m), finite; of pairs that are not possible the cost of none. possible: (n, m).
    """
    rows, columns = np.flatnonzero(possible.any(axis=1)), np.flatnonzero(possible.any(axis=0))
    if not len(rows):
        return []
    if min(len(rows), len(columns)) > _MOST_EXACT:
        return _cheapest_first(costs, possible)
    found = cheapest_pairs(costs[np.ix_(rows, columns)])
    pairs = ((int(rows[row]), int(columns[column])) for row, column in found)
    return [(row, column) for row, column in pairs if possible[row, column]]


def _cheapest_first(costs: Floats, possible: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    places = np.flatnonzero(possible)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for place in places[np.argsort(costs.ravel()[places], kind="stable")].tolist():
        row, column = divmod(place, costs.shape[1])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
            if len(taken) == min(costs.shape):
                break
    return sorted(pairs.items())


def cheapest_pairs(costs: Floats) -> list[tuple[int, int]]:
    """Return the pairs (row, column) of least total cost, as many as there can be, by row.

    Shortest augmenting paths with potentials, O(n^2 m) (Kuhn: The Hungarian method for the assignment problem, 1955;
    Jonker and Volgenant: A shortest augmenting path algorithm, Computing 38, 1987).

    Args:
        costs: (n, m), finite.
    """
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in cheapest_pairs(costs.T))
    rows, columns = costs.shape
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)  # potentials; place 0 is a column beside the table
    owner = np.zeros(columns + 1, int)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, before = np.full(columns + 1, np.inf), np.zeros(columns + 1, int)
        reached = np.zeros(columns + 1, bool)
        while owner[column]:
            reached[column] = True
            free = ~reached[1:]
            reduced = costs[owner[column] - 1] - of_row[owner[column]] - of_column[1:]
            nearer = free & (reduced < least[1:])
            least[1:][nearer], before[1:][nearer] = reduced[nearer], column
            following = 1 + int(np.where(free, least[1:], np.inf).argmin())
            step = least[following]
            of_row[owner[reached]] += step
            of_column[reached] -= step
            least[~reached] -= step
            column = following
        while column:
            owner[column] = owner[before[column]]
            column = before[column]
    return sorted((int(owner[column]) - 1, column - 1) for column in range(1, columns + 1) if owner[column])
