"""The answer of an embeddings server: looked at in full before anything of it is used."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


class BadAnswer(Exception):
    """An answer is not what was asked for.

    Attributes:
        cut_short: it ended early or was garbled on the way, so that asking again may help.
    """

    def __init__(self, message: str, *, cut_short: bool = False) -> None:
        super().__init__(message)
        self.cut_short = cut_short


def vectors_of(body: bytes, count: int) -> NDArray[np.float32]:
    """(count, d) unit vectors of a whole answer, in the order of its texts, by `index`.

    Raises:
        BadAnswer: it is no JSON, lacks a text or has one twice, or a vector is zero, not finite or of another
            width.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is no JSON: {error}", cut_short=True) from None
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list):
        raise BadAnswer("the answer holds no list `data`")
    if len(data) != count:
        raise BadAnswer(f"the answer holds {len(data)} vectors, expected {count}")
    rows: dict[int, NDArray[np.float64]] = {}
    for place, entry in enumerate(data):
        if not isinstance(entry, dict):
            raise BadAnswer(f"data[{place}] is no object")
        index = entry.get("index", place)
        if type(index) is not int or not 0 <= index < count or index in rows:
            raise BadAnswer(f"data[{place}] has index {index!r}, expected each of 0 to {count - 1} once")
        rows[index] = _row(entry.get("embedding"), place)
    widths = {row.size for row in rows.values()}
    if len(widths) != 1:
        raise BadAnswer(f"vectors have {' and '.join(map(str, sorted(widths)))} numbers, expected one width")
    found = np.stack([rows[index] for index in range(count)])
    length = np.linalg.norm(found, axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        worst = int(np.flatnonzero(~(np.isfinite(length[:, 0]) & (length[:, 0] > 0)))[0])
        raise BadAnswer(f"the vector of text {worst} is not finite, or zero")
    unit: NDArray[np.float32] = (found / length).astype(np.float32)
    return unit


def _row(embedding: Any, place: int) -> NDArray[np.float64]:
    """(d,) one vector: a list of numbers, or base64 of 32-bit floats, which some servers send regardless."""
    try:
        if isinstance(embedding, str):
            row = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float64)
        else:
            row = np.asarray(embedding, np.float64)
    except (ValueError, TypeError):
        row = np.zeros(0)
    if row.ndim != 1 or not row.size:
        raise BadAnswer(f"data[{place}].embedding is no list of numbers")
    return row
