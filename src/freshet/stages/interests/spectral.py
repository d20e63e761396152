"""Low-rank views of sparse matrices, reproducible and safe for the degenerate cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_OVERSAMPLING = 10
_POWER_ITERATIONS = 4


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to length one; rows of (numerically) nothing become zero."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = np.where(norm > 1e-9, vectors / np.maximum(norm, 1e-9), 0.0)
    return scaled


def truncated_svd(
    matrix: sparse.csr_matrix, rank: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Singular values (r,) and right singular vectors (r, columns), r <= rank, largest first.

    Randomised subspace iteration (Halko, Martinsson, Tropp 2011). Signs are fixed, and directions without
    variance are left out, so equal input gives equal output.
    """
    rank = min(rank, *matrix.shape)
    if rank < 1 or matrix.nnz == 0:
        return np.zeros(0), np.zeros((0, matrix.shape[1]))
    width = min(rank + _OVERSAMPLING, *matrix.shape)
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[1], width))
    for _ in range(_POWER_ITERATIONS):
        basis, _ = np.linalg.qr(matrix.T @ np.linalg.qr(matrix @ basis)[0])
    left, values, right = np.linalg.svd(matrix @ basis, full_matrices=False)
    del left
    directions = right[:rank] @ basis.T  # (rank, columns)
    values = values[:rank]
    peak = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), peak])[:, None]
    real = values > 1e-6 * values[0]
    return values[real], directions[real]
