"""Compiled loops that fit the mixture: no array larger than a few rows is made, features stay as they are."""

from __future__ import annotations

import numpy as np
from numba import njit

REORDERED = {"reassoc", "contract", "nsz"}
"""Sums may be added in another order, so that several are added at once."""


@njit(cache=True, nogil=True, fastmath=REORDERED)
def weighed_below_top(features, known, weights, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Weighted sums of features (n, F, N) below the largest of their row, -inf where known, into (n, N)."""
    rows, many, size = features.shape
    for row in range(rows):
        for c in range(size):
            out[row, c] = 0.0
        for f in range(many):
            weight = weights[f]
            for c in range(size):
                out[row, c] += weight * features[row, f, c]
        top = -np.inf
        for c in range(size):
            if known[row, c]:
                out[row, c] = -np.inf
            elif out[row, c] > top:
                top = out[row, c]
        if top > -np.inf:
            for c in range(size):
                out[row, c] -= top


@njit(cache=True, nogil=True, fastmath=REORDERED)
def add_derivatives(features, scores, odds, successor, hessian, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover
    """Log-likelihood of rows by their scores (n, N), of which `odds` are the exponentials.

    Minus the Hessian is added to the lower triangle of `hessian` (F, F); gradients go to `gradient` (n, F).
    """
    rows, many, size = features.shape
    likelihood = 0.0
    weighted, mean = np.empty(size), np.empty(many)
    for row in range(rows):
        total = 0.0
        for c in range(size):
            total += odds[row, c]
        if total <= 0:  # the user knows everything
            total = 1.0
        likelihood += scores[row, successor[row]] - np.log(total)
        share = 1.0 / total
        for f in range(many):
            expected = 0.0
            for c in range(size):
                weighted[c] = odds[row, c] * share * features[row, f, c]
                expected += weighted[c]
            mean[f] = expected
            gradient[row, f] = features[row, f, successor[row]] - expected
            for g in range(f + 1):
                product = 0.0
                for c in range(size):
                    product += weighted[c] * features[row, g, c]
                hessian[f, g] += product - expected * mean[g]
    return likelihood
