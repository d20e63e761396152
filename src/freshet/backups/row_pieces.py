"""Columns as pieces of bytes that can be cut between any two rows, and put together again.

A piece is bytes and, for n rows, the n + 1 places where the part of each row begins and ends. A column of
fixed width is two pieces, which rows have a value and the values; text has its lengths beside; a list has its
lengths and the pieces of what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_INTEGERS = {1: pa.int8(), 2: pa.int16(), 4: pa.int32(), 8: pa.int64()}


class Piece(NamedTuple):
    """Bytes, and (n + 1,) places between which the part of each row lies."""

    data: memoryview
    places: NDArray[np.int64]


def pieces_of(column: pa.Array) -> list[Piece]:
    """The pieces of a column, as many as `column_of` takes for its type."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind, rows = column.type, len(column)
    none = Piece(memoryview(b""), np.zeros(rows + 1, np.int64))
    valid = _fixed(np.asarray(column.is_valid()).astype(np.uint8)) if column.null_count else none
    if _is_list(kind):
        lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int32)
        bounds = _places(lengths)
        inside = [Piece(data, places[bounds]) for data, places in pieces_of(column.flatten())]
        return [valid, _fixed(lengths), *inside]
    if _is_text(kind):
        texts = pc.fill_null(column.cast(pa.large_binary()), b"")
        _, ends, characters = texts.buffers()
        if not rows:
            return [valid, none, none]
        places = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + rows + 1]
        data = memoryview(characters or b"")[int(places[0]) : int(places[-1])]
        return [valid, _fixed(np.diff(places).astype(np.int32)), Piece(data, places - places[0])]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        filled = pc.fill_null(column, bytes(width)) if column.null_count else column
        data = memoryview(filled.buffers()[1] or b"")[filled.offset * width : (filled.offset + rows) * width]
        return [valid, Piece(data, np.arange(rows + 1, dtype=np.int64) * width)]
    if pa.types.is_boolean(kind):
        return [valid, _fixed(np.asarray(pc.fill_null(column, False).cast(pa.uint8())))]
    return [valid, _fixed(np.asarray(pc.fill_null(column.view(_integer(kind)), 0)))]


def column_of(kind: pa.DataType, rows: int, pieces: Iterator[bytes]) -> pa.Array:
    """The column of which these are the pieces, which are taken one after another."""
    if pa.types.is_dictionary(kind):
        return column_of(kind.value_type, rows, pieces).dictionary_encode().cast(kind)
    valid = next(pieces)
    mask = None if not valid else pa.array(np.frombuffer(valid, np.uint8) == 0)
    if _is_list(kind):
        places = _places(np.frombuffer(next(pieces), np.int32))
        inside = column_of(kind.value_type, int(places[-1]), pieces)
        return pa.LargeListArray.from_arrays(places, inside, mask=mask).cast(kind)
    if _is_text(kind):
        places = _places(np.frombuffer(next(pieces), np.int32))
        buffers = [None, pa.py_buffer(places), pa.py_buffer(next(pieces))]
        return _masked(pa.Array.from_buffers(pa.large_binary(), rows, buffers), mask).cast(kind)
    data = next(pieces)
    if pa.types.is_boolean(kind):
        return _masked(pa.array(np.frombuffer(data, np.uint8)), mask).cast(kind)
    if pa.types.is_fixed_size_binary(kind):
        return _masked(pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(data)]), mask)
    found = pa.Array.from_buffers(_integer(kind), rows, [None, pa.py_buffer(data)])
    return _masked(found, mask).view(kind)


def _masked(column: pa.Array, mask: pa.Array | None) -> pa.Array:
    return column if mask is None else pc.if_else(mask, pa.scalar(None, column.type), column)


def _fixed(values: NDArray[Any]) -> Piece:
    data = np.ascontiguousarray(values)
    width = data.dtype.itemsize
    return Piece(memoryview(data.tobytes()), np.arange(len(data) + 1, dtype=np.int64) * width)


def _places(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _integer(kind: pa.DataType) -> pa.DataType:
    return _INTEGERS[kind.bit_width // 8]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)
