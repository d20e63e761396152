from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.backends.encoders.wordllama_encoder import WordLlamaEncoder
from freshet.core.errors import EncoderError
from freshet.core.ports import Encoder, Progress, silent
from freshet.storage import vector_cache
from freshet.storage.vector_cache import PLACE, CachedEncoder, read_part, write_part

TEXTS = [f"title {i} about {'ghosts' if i % 2 else 'gardens'}" for i in range(1200)]


class Counting:
    """The real encoder, and what it was asked for; it may stop in the middle."""

    def __init__(self, encoder: Encoder | None = None, fails_after: int = 10**9) -> None:
        self._encoder = encoder or WordLlamaEncoder()
        self.asked: list[str] = []
        self.calls = 0
        self._fails_after = fails_after

    @property
    def version(self) -> str:
        return self._encoder.version

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        if self.calls == self._fails_after:
            raise EncoderError("the server is gone")
        self.calls += 1
        self.asked += texts
        return self._encoder.encode(texts, progress)


def parts(root: Path) -> list[Path]:
    return sorted((root / PLACE).rglob("*.npy"))


@pytest.fixture(scope="module")
def plain() -> NDArray[np.float32]:
    """What the encoder itself gives."""
    return WordLlamaEncoder().encode(TEXTS)


def test_a_text_is_encoded_once(tmp_path: Path, plain: NDArray[np.float32]) -> None:
    counting = Counting()
    cached = CachedEncoder(counting, tmp_path)
    assert np.array_equal(cached.encode(TEXTS), plain)
    assert np.array_equal(cached.encode(TEXTS[::-1]), plain[::-1])
    assert counting.asked == TEXTS
    assert [path.parent for path in parts(tmp_path)] == [tmp_path / PLACE / counting.version] * 3
    again = Counting()
    assert np.array_equal(CachedEncoder(again, tmp_path).encode([*TEXTS[:3], "new"])[:3], plain[:3])
    assert again.asked == ["new"]
    assert cached.version == counting.version


def test_repeated_and_blank_texts_cost_nothing(tmp_path: Path) -> None:
    counting = Counting()
    found = CachedEncoder(counting, tmp_path).encode(["a rose", "", "a rose", " \n", "the sea"])
    assert counting.asked == ["a rose", "the sea"]
    assert np.array_equal(found[0], found[2])
    assert not found[[1, 3]].any()


def test_nothing_but_blanks(tmp_path: Path) -> None:
    assert CachedEncoder(Counting(), tmp_path).encode(["", " "]).shape == (2, 256)
    assert CachedEncoder(Counting(), tmp_path).encode([]).shape == (0, 256)
    CachedEncoder(Counting(), tmp_path).encode(["rose"])
    assert CachedEncoder(Counting(), tmp_path).encode([""]).shape == (1, 256)
    assert CachedEncoder(Counting(), tmp_path).encode(["\ud800"]).shape == (1, 256)


def test_progress_counts_all_texts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cached = CachedEncoder(Counting(), tmp_path)
    cached.encode(TEXTS[:100])
    cached.encode([*TEXTS, ""], lambda *counts: seen.append(counts))
    assert seen[0] == (101, 1201)
    assert seen[-1] == (1201, 1201)
    assert seen == sorted(seen)


def test_what_was_encoded_before_a_failure_is_kept(tmp_path: Path, plain: NDArray[np.float32]) -> None:
    with pytest.raises(EncoderError):
        CachedEncoder(Counting(fails_after=2), tmp_path).encode(TEXTS)
    rest = Counting()
    assert np.array_equal(CachedEncoder(rest, tmp_path).encode(TEXTS), plain)
    assert rest.asked == TEXTS[2 * vector_cache.BATCH :]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "name", "foreign", "folder"])
def test_a_damaged_part_is_set_aside_and_made_again(
    tmp_path: Path, plain: NDArray[np.float32], damage: str
) -> None:
    CachedEncoder(Counting(), tmp_path).encode(TEXTS)
    path = parts(tmp_path)[1]
    content = bytearray(path.read_bytes())
    keys, _ = read_part(path) or ([], None)
    if damage == "flip":
        content[-3] ^= 0x10
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "name":
        path = path.rename(path.with_name("0" * 32 + ".npy"))
    elif damage == "foreign":  # its name is right, its content is something else
        path.unlink()
        other = np.zeros(3).tobytes()
        path = path.with_name(f"{vector_cache._hash(other)}.npy")
        path.write_bytes(other)
    else:
        path.unlink()
        path.mkdir()
    counting = Counting()
    assert np.array_equal(CachedEncoder(counting, tmp_path).encode(TEXTS), plain)
    assert len(counting.asked) == len(keys) > 0
    assert (tmp_path / "damaged" / path.relative_to(tmp_path)).exists()
    untroubled = Counting()
    CachedEncoder(untroubled, tmp_path).encode(TEXTS)
    assert untroubled.asked == []


def test_a_model_that_changed_behind_its_name_is_noticed(tmp_path: Path) -> None:
    version = Counting().version
    write_part(tmp_path / PLACE / version, [b"0" * 16], np.ones((1, 7), np.float32))
    with pytest.raises(EncoderError, match="vectors of 7 numbers, and of 256 now"):
        CachedEncoder(Counting(), tmp_path).encode(["rose"])


def test_as_many_vectors_as_texts_are_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 vectors for 2 texts"):
        write_part(tmp_path, [b"0" * 16, b"1" * 16], np.ones((1, 4), np.float32))


CHILD = """
import sys
from pathlib import Path
from tests.storage.test_vector_cache import TEXTS, Counting
from freshet.storage.vector_cache import CachedEncoder

class Slow(Counting):
    def encode(self, texts, progress=None):
        if self.calls == int(sys.argv[2]):
            print("in the middle", flush=True)
            sys.stdin.read()  # until it is killed
        return super().encode(texts)

CachedEncoder(Slow(), Path(sys.argv[1])).encode(TEXTS)
print("done", flush=True)
"""


def child(root: Path, stops_after: int) -> subprocess.Popen[str]:
    """A process that encodes, and stops in the middle."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), str(stops_after)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])},
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.slow
def test_a_killed_process_has_kept_its_batches(tmp_path: Path, plain: NDArray[np.float32]) -> None:
    with child(tmp_path, 2) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "in the middle\n"
        killed.send_signal(signal.SIGKILL)
    counting = Counting()
    assert np.array_equal(CachedEncoder(counting, tmp_path).encode(TEXTS), plain)
    assert counting.asked == TEXTS[2 * vector_cache.BATCH :]


@pytest.mark.slow
def test_two_processes_at_once_do_each_other_no_harm(tmp_path: Path, plain: NDArray[np.float32]) -> None:
    with child(tmp_path, 99) as one, child(tmp_path, 99) as other:
        assert (one.communicate()[0], other.communicate()[0]) == ("done\n", "done\n")
    assert all(read_part(path) for path in parts(tmp_path))
    counting = Counting()
    assert np.array_equal(CachedEncoder(counting, tmp_path).encode(TEXTS), plain)
    assert counting.asked == []
