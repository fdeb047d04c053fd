"""The assignment is the best there is: against all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinydet.edge.tracking.assignment import assign


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 4), (3, 5), (5, 3), (0, 3), (3, 0)])
def test_no_other_choice_weighs_more(rows: int, columns: int) -> None:
    rng = np.random.default_rng(rows * 10 + columns)
    for _ in range(50):
        weights = np.round(rng.random((rows, columns)), 1)
        row, column = assign(weights, minimum=0.3)
        assert len(set(row.tolist())) == len(row) and len(set(column.tolist())) == len(column)
        assert (weights[row, column] >= 0.3).all()
        allowed = np.where(weights >= 0.3, weights, 0.0)
        short, long = (allowed, columns) if rows <= columns else (allowed.T, rows)
        choices = itertools.permutations(range(long), len(short))
        best = max(sum(short[index, pick] for index, pick in enumerate(choice)) for choice in choices)
        assert weights[row, column].sum() == pytest.approx(best)


def test_a_greedy_choice_would_lose_a_pair() -> None:
    row, column = assign(np.array([[0.9, 0.8], [0.8, 0.0]]), minimum=0.1)
    assert set(zip(row.tolist(), column.tolist(), strict=True)) == {(0, 1), (1, 0)}


def test_a_minimum_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="minimum: expected above 0"):
        assign(np.ones((2, 2)), minimum=0.0)
