"""Vectors of texts that were encoded before: by text and by encoder, on the disk.

A folder per encoder holds parts: NumPy files of some hundred rows, each the hash of a text and its vector.
A part is written in one piece when its batch is encoded (`durable`), never changed, and named by the hash of
its bytes, which is compared whenever it is read. So a killed run loses the batch in hand, two processes write
parts of their own and at worst both encode a text, and a damaged part is seen whatever happened to it: it is
moved to `damaged/` and its texts are encoded again. A database would need a lock between processes, and its
own repairs, for the same.

Vectors stay as the encoder gave them (float32): half of the bytes is not worth other figures. All of it can
be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EncoderError
from freshet.core.ports import Encoder, Progress, is_blank, silent
from freshet.storage.durable import make_folder, set_aside, written

PLACE = Path("cache", "vectors")
"""Where the folders of encoders lie in a workspace."""

BATCH = 512
"""Texts encoded between two writes."""

_KEY, _NAME = 16, 32
"""Bytes of a text's hash, and characters of a part's name."""


class CachedEncoder:
    """An encoder that is asked once for each text.

    Args:
        encoder: what is asked.
        root: the workspace, whose `cache/vectors/<version>` holds the vectors.
    """

    def __init__(self, encoder: Encoder, root: Path) -> None:
        self._encoder = encoder
        self._root = root

    @property
    def version(self) -> str:
        """That of the encoder: the vectors are the same."""
        return self._encoder.version

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """(n, d) as the encoder gives them; only texts that it was never asked for are encoded."""
        rows_of: dict[bytes, list[int]] = {}
        for row, text in enumerate(texts):
            if not is_blank(text):
                rows_of.setdefault(key_of(text), []).append(row)
        found: NDArray[np.float32] | None = None
        waiting = dict.fromkeys(rows_of)
        for keys, vectors in self._known():
            found = self._filled(found, vectors, len(texts))
            for key, vector in zip(keys, vectors, strict=True):
                if key in waiting:
                    found[rows_of[key]] = vector
                    del waiting[key]
            if not waiting:
                break
        left = list(waiting)
        done = len(texts) - sum(len(rows_of[key]) for key in left)
        progress(done, len(texts))
        for start in range(0, len(left), BATCH):
            keys = left[start : start + BATCH]
            batch = [texts[rows_of[key][0]] for key in keys]
            vectors = self._encoder.encode(batch, _behind(progress, done, len(texts)))
            found = self._filled(found, vectors, len(texts))
            write_part(self._root / PLACE / self.version, keys, vectors)
            for key, vector in zip(keys, vectors, strict=True):
                found[rows_of[key]] = vector
                done += len(rows_of[key])
            progress(done, len(texts))
        return (
            self._encoder.encode(texts) if found is None else found
        )  # nothing but blanks: any width is right

    def _known(self) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
        """Keys and vectors of every part, the damaged ones moved away."""
        for path in sorted((self._root / PLACE / self.version).glob("*.npy")):
            part = read_part(path)
            if part is not None:
                yield part
            else:
                with suppress(FileNotFoundError):  # another process has moved it already
                    set_aside(self._root, path)

    def _filled(
        self, found: NDArray[np.float32] | None, vectors: NDArray[np.float32], count: int
    ) -> NDArray[np.float32]:
        """What was found so far, zero in the beginning.

        Raises:
            EncoderError: the vectors at hand have another width.
        """
        if found is None:
            return np.zeros((count, vectors.shape[1]), np.float32)
        if found.shape[1] != vectors.shape[1]:
            raise EncoderError(
                f"{self.version} gave vectors of {found.shape[1]} numbers, and of {vectors.shape[1]} now",
                hint=f"another model answers by the same name: move {self._root / PLACE / self.version} away",
            )
        return found


def _behind(progress: Progress, done: int, total: int) -> Progress:
    """Progress of a part of the work."""
    return lambda inner, _: progress(done + inner, total)


def key_of(text: str) -> bytes:
    """What a text is known by."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()


def write_part(folder: Path, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> Path:
    """Keep n vectors (n, d) under their keys; returns the file."""
    if len(vectors) != len(keys):  # NumPy would repeat a single row
        raise ValueError(f"{len(vectors)} vectors for {len(keys)} texts")
    rows = np.zeros(len(keys), _kind(vectors.shape[1]))
    rows["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY)
    rows["vector"] = vectors
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    content = buffer.getvalue()
    make_folder(folder)
    path = folder / f"{_hash(content)}.npy"
    with written(path) as aside:
        aside.write_bytes(content)
    return path


def read_part(path: Path) -> tuple[list[bytes], NDArray[np.float32]] | None:
    """Keys and (n, d) vectors of a part; None where it is damaged, is none of ours, or can't be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if _hash(content) != path.stem:
        return None
    try:
        rows = np.load(io.BytesIO(content), allow_pickle=False)
        if rows.dtype != _kind(rows.dtype["vector"].shape[0]):
            return None
    except (ValueError, KeyError, IndexError, EOFError):
        return None
    return [key.tobytes() for key in rows["key"]], rows["vector"]


def _kind(width: int) -> np.dtype[np.void]:
    return np.dtype([("key", np.uint8, (_KEY,)), ("vector", "<f4", (width,))])


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_NAME // 2).hexdigest()
