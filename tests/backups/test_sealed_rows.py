"""Rows come back as they were, but those of users whose key was dropped, which nobody can read."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.backups.row_pieces import column_of, pieces_of
from freshet.backups.sealed_file import open_file, seal_file
from freshet.backups.sealed_rows import open_sealed, seal
from freshet.core import user_numbers
from freshet.core.errors import ArtifactError
from freshet.storage.user_keys import UserKeys

KINDS = {
    pa.string(): st.text(max_size=4),
    pa.large_string(): st.text(max_size=4),
    pa.large_binary(): st.binary(max_size=4),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.bool_(): st.booleans(),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.timestamp("us"): st.integers(0, 2**50),
    pa.list_(pa.string()): st.lists(st.text(max_size=2), max_size=3),
    pa.list_(pa.int32()): st.lists(st.integers(0, 9), max_size=3),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["a", "b"]),
}


@given(st.data())
def test_any_column_is_cut_between_rows_and_put_together(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    values: list[Any] = data.draw(st.lists(st.none() | KINDS[kind], max_size=9))
    column = pa.array(values, kind)
    cut = data.draw(st.integers(0, len(column)))
    for part in (column, column.slice(cut), column.slice(0, cut)):
        pieces = pieces_of(part)
        for piece in pieces:
            assert len(piece.places) == len(part) + 1
        again = column_of(kind, len(part), iter([bytes(piece.data) for piece in pieces]))
        assert again.type == kind
        assert again.to_pylist() == part.to_pylist()


rows = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cyd", "d\u00e9"]), st.none() | st.text(max_size=3)), max_size=20
)


@given(rows, st.sets(st.sampled_from(["ann", "bob", "cyd", "d\u00e9", "eve"])))
def test_rows_come_back_in_their_order_without_the_users_that_were_dropped(
    found: list[tuple[str, str | None]], gone: set[str]
) -> None:
    table = pa.table(
        {
            "user": pa.array([user for user, _ in found], pa.large_string()),
            "said": pa.array([said for _, said in found], pa.string()),
        }
    )
    with TemporaryDirectory() as folder:
        keys, file = UserKeys(Path(folder)), Path(folder, "sealed")
        seal(table, user_numbers.keys(table["user"]), keys, file)
        assert open_sealed(file, keys, "it").table.to_pylist() == table.to_pylist()
        for user in gone:
            keys.drop(user)
        opened = open_sealed(file, keys, "it")
        left = table.filter(pc.invert(pc.is_in(table["user"], pa.array(sorted(gone), pa.large_string()))))
        assert opened.table.to_pylist() == left.to_pylist()
        assert opened.lost == len(table) - len(left)


def test_other_keys_and_damage_are_told(tmp_path: Path) -> None:
    table = pa.table({"user": pa.array(["ann"], pa.large_string())})
    one, other = UserKeys(tmp_path / "one"), UserKeys(tmp_path / "other")
    seal(table, user_numbers.keys(table["user"]), one, tmp_path / "sealed")
    other.of(np.arange(3, dtype=np.uint64))
    with pytest.raises(ArtifactError, match="other keys"):
        open_sealed(tmp_path / "sealed", other, "it")
    (tmp_path / "sealed").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="damaged"):
        open_sealed(tmp_path / "sealed", one, "it")


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_file_of_many_users_is_whole_or_gone(tmp_path: Path, size: int) -> None:
    keys, plain = UserKeys(tmp_path), tmp_path / "plain"
    plain.write_bytes(b"x" * size)
    seal_file(plain, keys, tmp_path / "sealed")
    assert open_file(tmp_path / "sealed", keys, tmp_path / "again", "it")
    assert (tmp_path / "again").read_bytes() == plain.read_bytes()
    keys.of(user_numbers.keys(pa.chunked_array([["ann"]])))
    keys.drop("ann")
    assert not open_file(tmp_path / "sealed", keys, tmp_path / "gone", "it")
    assert not (tmp_path / "gone").exists()
    seal_file(plain, keys, tmp_path / "sealed")
    assert open_file(tmp_path / "sealed", keys, tmp_path / "again", "it")
    content = (tmp_path / "sealed").read_bytes()
    (tmp_path / "sealed").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"damaged|older keys"):
        open_file(tmp_path / "sealed", keys, tmp_path / "again", "it")
