"""Keys of users: random, durable, dropped for good, and the same in the copy."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import ArtifactError
from freshet.core.user_numbers import keys as numbers_of
from freshet.storage import user_keys
from freshet.storage.user_keys import PLACE, RECORD, UserKeys


def numbers(*users: str) -> np.ndarray:
    return numbers_of(pa.chunked_array([list(users)], pa.string()))


def test_a_user_keeps_a_key_and_two_users_have_two(tmp_path: Path) -> None:
    first = UserKeys(tmp_path).of(numbers("ann", "bob", "ann"))
    assert first.slots[0] == first.slots[2] != first.slots[1]
    assert (first.keys[0] == first.keys[2]).all()
    assert (first.keys[0] != first.keys[1]).any()
    again = UserKeys(tmp_path).of(numbers("bob", "cyd"))
    assert (again.keys[0] == first.keys[1]).all()
    assert (UserKeys(tmp_path).at(again.slots).keys == again.keys).all()
    assert len(UserKeys(tmp_path)) == 3


def test_nobody_has_no_keys(tmp_path: Path) -> None:
    assert len(UserKeys(tmp_path).of(numbers()).slots) == 0
    assert UserKeys(tmp_path / "other").drop("ann") is False


def test_a_dropped_key_is_nowhere_in_the_files_and_the_user_who_returns_has_another(tmp_path: Path) -> None:
    copy = tmp_path / "safe" / "keys.bin"
    keys = UserKeys(tmp_path / "shop", copy)
    before = keys.of(numbers("ann", "bob"))
    secret = before.keys[0].tobytes()
    assert secret in keys.path.read_bytes()
    assert secret in copy.read_bytes()
    assert [keys.drop(user) for user in ("ann", "ann", "zoe")] == [True, False, False]
    assert secret not in keys.path.read_bytes() + copy.read_bytes()
    assert keys.at(before.slots).dropped.tolist() == [True, False]
    back = keys.of(numbers("ann"))
    assert back.slots[0] not in before.slots
    assert not back.dropped[0]
    assert keys.at(before.slots).dropped.tolist() == [True, False]


def test_a_drop_is_no_success_while_the_copy_is_missing(tmp_path: Path) -> None:
    """Such as on a disk that isn't mounted: it still has the key."""
    copy, away = tmp_path / "safe" / "keys.bin", tmp_path / "away.bin"
    keys = UserKeys(tmp_path / "shop", copy)
    secret = keys.of(numbers("ann", "bob")).keys[0].tobytes()
    copy.rename(away)
    for _ in range(2):
        with pytest.raises(ArtifactError, match="copy of the keys, is missing"):
            keys.drop("ann")
        assert not copy.exists()
        assert secret not in keys.path.read_bytes()
    away.rename(copy)
    keys.drop("ann")
    assert secret not in copy.read_bytes()


def test_records_that_a_crash_cut_off_are_written_again(tmp_path: Path) -> None:
    keys = UserKeys(tmp_path)
    kept = keys.of(numbers("ann"))
    with keys.path.open("ab") as file:
        file.write(b"\1" * (RECORD.itemsize - 5))
    more = keys.of(numbers("ann", "bob"))
    assert (more.keys[0] == kept.keys[0]).all()
    assert more.slots.tolist() == [0, 1]


def test_a_drop_that_an_older_state_of_the_workspace_lacks_comes_from_the_copy(tmp_path: Path) -> None:
    copy = tmp_path / "safe.bin"
    keys = UserKeys(tmp_path / "shop", copy)
    made = keys.of(numbers("ann", "bob"))
    old = keys.path.read_bytes()
    keys.drop("ann")
    keys.path.write_bytes(old)
    assert keys.of(numbers("bob")).slots[0] == made.slots[numbers("ann", "bob") == numbers("bob")[0]][0]
    assert UserKeys(tmp_path / "shop").at(made.slots).dropped.tolist() == [True, False]
    keys.path.write_bytes(old)
    UserKeys(tmp_path / "shop").adopt(copy)
    assert UserKeys(tmp_path / "shop").at(made.slots).dropped.tolist() == [True, False]


def test_what_is_no_file_of_these_keys_is_refused(tmp_path: Path) -> None:
    one, two = UserKeys(tmp_path / "one"), UserKeys(tmp_path / "two")
    one.of(numbers("ann"))
    two.of(numbers("ann"))
    with pytest.raises(ArtifactError, match="another workspace"):
        UserKeys(tmp_path / "one", two.path).of(numbers("bob"))
    with pytest.raises(ArtifactError, match="older keys"):
        one.at(np.array([99]))
    (tmp_path / "three" / PLACE).parent.mkdir(parents=True)
    (tmp_path / "three" / PLACE).write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="no file of keys"):
        UserKeys(tmp_path / "three").of(numbers("ann"))


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    keys = UserKeys(tmp_path / "shop", tmp_path / "copy.bin")
    keys.of(numbers("ann"))
    assert keys.path.stat().st_mode & 0o777 == (tmp_path / "copy.bin").stat().st_mode & 0o777 == 0o600


def two_copies(tmp_path: Path) -> tuple[Path, Path]:
    """A workspace's keys of one user, and a copy of that workspace."""
    UserKeys(tmp_path / "one").of(numbers("ann"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    return tmp_path / "one", tmp_path / "two"


def test_two_copies_of_a_workspace_that_share_a_file_give_no_slot_twice(tmp_path: Path) -> None:
    one, two = two_copies(tmp_path)
    copy = tmp_path / "safe" / "keys.bin"
    bob = UserKeys(one, copy).of(numbers("bob"))
    both = UserKeys(two, copy).of(numbers("cyd", "bob"))
    assert (bob.slots[0], both.slots[1]) == (1, 1)
    assert (both.keys[1] == bob.keys[0]).all()
    assert len({0, *both.slots.tolist()}) == 3


def test_one_user_with_two_keys_in_one_slot_is_refused(tmp_path: Path) -> None:
    """Both copies have seen the same new user: the slots agree on whom, and not on the key."""
    one, two = two_copies(tmp_path)
    UserKeys(one).of(numbers("bob"))
    UserKeys(two).of(numbers("bob"))
    before = [(root / PLACE).read_bytes() for root in (one, two)]
    with pytest.raises(ArtifactError, match="gone apart: from number 1 on"):
        UserKeys(one).adopt(two / PLACE)
    with pytest.raises(ArtifactError, match="gone apart") as refused:
        UserKeys(one, two / PLACE).of(numbers("cyd"))
    assert "a folder of its own in [backup] keys" in str(refused.value.hint)
    assert [(root / PLACE).read_bytes() for root in (one, two)] == before


def test_marks_tell_two_copies_apart_and_not_who_was_dropped(tmp_path: Path) -> None:
    one, two = two_copies(tmp_path)
    UserKeys(one).of(numbers("bob"))
    marks = UserKeys(one).marks()
    UserKeys(one).compare(marks)
    with pytest.raises(ArtifactError, match="older keys"):
        UserKeys(two).compare(marks)
    UserKeys(two).of(numbers("bob"))
    with pytest.raises(ArtifactError, match=r"key 1 of .* two copies of one workspace"):
        UserKeys(two).compare(marks)
    UserKeys(one).drop("bob")
    UserKeys(one).compare(marks)
    for secret in UserKeys(one).at(np.array([0, 1])).keys:
        assert secret.tobytes().hex() not in str(marks)


def test_what_fails_in_the_workspace_is_not_blamed_on_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = UserKeys(tmp_path / "shop", tmp_path / "copy.bin")
    keys.of(numbers("ann"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(user_keys, "_append", full)
    with pytest.raises(OSError, match="No space"):
        keys.of(numbers("bob"))
