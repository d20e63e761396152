from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.encoders import wordllama_encoder
from freshet.backends.encoders.wordllama_encoder import TOKENIZER, WEIGHTS, WordLlamaEncoder
from freshet.core.errors import ArtifactError, MissingExtra

TEXTS = [
    "a horror film with ghosts",
    "scary haunted house movie",
    "recipe for apple pie",
    "",
    " \n",
    "ビール 🍺",
]


@pytest.fixture(scope="module")
def encoder() -> WordLlamaEncoder:
    """Of the package that is installed here."""
    return WordLlamaEncoder()


def test_it_gives_what_the_package_itself_computes(encoder: WordLlamaEncoder) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    (table,) = load_file(WordLlamaEncoder._file(WEIGHTS)).values()
    theirs = WordLlamaInference(table, Tokenizer.from_file(str(WordLlamaEncoder._file(TOKENIZER))))
    real = [text for text in TEXTS if text.strip()]
    assert np.allclose(encoder.encode(real), theirs.embed(real, norm=True), atol=1e-5)


def test_rows_have_length_one_or_zero(encoder: WordLlamaEncoder) -> None:
    found = encoder.encode(TEXTS)
    assert (found.shape, found.dtype) == ((6, 256), np.float32)
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0, 0, 1], atol=1e-6)
    assert encoder.encode([]).shape == (0, 256)


def test_it_knows_what_words_mean(encoder: WordLlamaEncoder) -> None:
    """The first two share no word; no model of the texts' own words could tell."""
    ghosts, haunted, pie = encoder.encode(TEXTS[:3])
    assert ghosts @ haunted > 0.4 > ghosts @ pie


def test_a_text_has_its_vector_whatever_is_beside_it(encoder: WordLlamaEncoder) -> None:
    texts = [f"item {i} of a long list" for i in range(300)]
    together = encoder.encode(texts)
    assert np.array_equal(together[[7, 290]], encoder.encode([texts[7], texts[290]]))


def test_half_a_character_is_no_error(encoder: WordLlamaEncoder) -> None:
    assert np.isfinite(encoder.encode(["\ud800 rose", "\ud800"])).all()


def test_progress_is_told(encoder: WordLlamaEncoder) -> None:
    seen: list[tuple[int, int]] = []
    encoder.encode(["x"] * 600, lambda done, total: seen.append((done, total)))
    assert seen == [(256, 600), (512, 600), (600, 600)]


def test_the_version_is_that_of_the_files(encoder: WordLlamaEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoder.version == WordLlamaEncoder().version
    assert encoder.version.startswith("wordllama-")
    monkeypatch.setattr(wordllama_encoder, "CODE", 99)
    assert WordLlamaEncoder().version != encoder.version


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    package = str(WordLlamaEncoder._file(WEIGHTS).parent.parent.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry) != Path(package)])
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    assert PathFinder.find_spec("wordllama") is None
    for ask in (lambda: WordLlamaEncoder().version, lambda: WordLlamaEncoder().encode(["x"])):
        with pytest.raises(MissingExtra, match=r"pip install 'freshet\[wordllama\]'"):
            ask()


def broken(folder: Path, weights: bytes) -> None:
    """A package whose weights are these bytes."""
    for name in (WEIGHTS, TOKENIZER):
        (folder / "wordllama" / name).parent.mkdir(parents=True)
    (folder / "wordllama" / "__init__.py").touch()
    (folder / "wordllama" / WEIGHTS).write_bytes(weights)
    (folder / "wordllama" / TOKENIZER).write_bytes(WordLlamaEncoder._file(TOKENIZER).read_bytes())


def test_damaged_files_of_the_package_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, WordLlamaEncoder._file(WEIGHTS).read_bytes()[:1000])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    with pytest.raises(ArtifactError, match=rf"wordllama in {tmp_path}.*can't be read"):
        WordLlamaEncoder().encode(["x"])


def test_another_version_of_the_package_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, b"")
    (tmp_path / "wordllama" / WEIGHTS).unlink()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    with pytest.raises(MissingExtra, match=f"does not hold {WEIGHTS}"):
        _ = WordLlamaEncoder().version
