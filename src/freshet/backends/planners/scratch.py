"""`scratch`: a small decoder and a word-level tokenizer made from the catalogue and the log.

It runs on a laptop without downloads and has no world knowledge: what a description means to it is what
this log and this catalogue say.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners import model_folder
from freshet.backends.planners.choice_training import train_choice
from freshet.backends.planners.decoder import token_tables
from freshet.backends.planners.fine_tuning import Recipe, fine_tune
from freshet.backends.planners.libraries import need_local
from freshet.backends.planners.local_planner import LocalPlanner, abilities_of, version_of
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.core.ports import Abilities, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.prompts import TEMPLATE, names, render, strength
from freshet.core.types import ContextEvidence, Interests, Successor, TuningReport

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

CODE = 3
"""Raised when the same job gives other weights."""

PAD, UNKNOWN, END = "<pad>", "<unk>", "<eos>"
PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "safetensors")

HIDDEN, LAYERS, HEADS, KEY_HEADS = 64, 2, 4, 2
LONGEST = 512
"""Tokens that fit in the model; a prompt with evidence has about 60."""

LEARNING_RATE, BATCH = 4e-3, 256
EXAMPLES_SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 80_000, 2.0, 5.0
"""Epochs are chosen so that training sees about so many examples: more epochs over a small log only memorise
it (held-out nll rose from 3.70 to 4.27 between 10 and 20 epochs over 3,000 examples)."""

START_SCALE = 4.0
"""Size of the known part of a word's first embedding, in units of the random part."""


class ScratchTuner(Tuner):
    """Builds a Qwen3-shaped decoder and its tokenizer from `job.corpus`, and trains all weights."""

    def __init__(self, beam: int = 16, device: str = "auto") -> None:
        self.beam = beam
        self.device = device

    @property
    def recipe(self) -> str:
        return f"scratch {CODE}"

    def check(self, plan: TuningPlan) -> None:  # noqa: ARG002 - it learns the words that it needs
        need_local(*PACKAGES)
        model_folder.resolve_device(self.device)

    def continues_models(self, mode: str) -> bool:
        return mode == "label"

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        need_local(*PACKAGES)
        words = vocabulary(job)
        tokenizer = build_tokenizer(words)
        share = 1.0 if job.begin is None else job.begin.share
        recipe = Recipe(
            epochs=share * (job.epochs or epochs_for(len(job.examples))),
            learning_rate=job.learning_rate or LEARNING_RATE,
            batch_size=job.batch_size or BATCH,
        )
        built = build_model(words, job)
        if job.begin is not None:
            take_weights(built, words, job.begin.model)
        trained = model_folder.place(built, self.device)
        if job.mode == "label" and job.candidates is not None:
            report = train_choice(trained, tokenizer, job, recipe, job.candidates, progress)
        else:
            trained, report = fine_tune(
                trained, Tokenisation(tokenizer), job, recipe, progress, base="scratch"
            )
        card = model_folder.Card(
            "scratch", job.mode, "scratch", TEMPLATE, len(job.interests), False, report.relative
        )
        model_folder.save(trained, tokenizer, card, into)
        return report

    def version(self, model: Path, interests: Interests) -> str:
        return version_of(model, interests, self.beam)

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002
        return abilities_of(model_folder.read_card(model))

    def open(self, model: Path, interests: Interests) -> LocalPlanner:
        return LocalPlanner(model, interests, beam=self.beam, device=self.device)


def epochs_for(examples: int) -> float:
    """How often training goes over so many examples."""
    return min(max(EXAMPLES_SEEN / max(examples, 1), FEWEST_EPOCHS), MOST_EPOCHS)


def vocabulary(job: TuningJob) -> tuple[str, ...]:
    """Special tokens, then every word of the names, the corpus, the examples and the template, sorted."""
    texts = [*names(job.interests.descriptions, job.mode), *job.corpus, *template_words()]
    texts += [example.prompt.text for example in job.examples]
    return (PAD, UNKNOWN, END, *sorted(set(_words(texts)) - {PAD, UNKNOWN, END}))


def template_words() -> list[str]:
    """Prompts that between them use every fixed word, so that none is unknown when evidence first comes."""
    strengths = {strength(share / 100): share / 100 for share in range(101)}
    successors = tuple(Successor(0, share, 1.0) for share in strengths.values())
    evidence = ContextEvidence(after=(0,), successors=successors)
    return [render((), ("",), evidence), render((0, 0), ("",), evidence)]


def _words(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield from text.split()


def build_tokenizer(words: tuple[str, ...]) -> PreTrainedTokenizerBase:
    """A tokenizer with one token per word, in the given order."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    table = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(table, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
    )


def build_model(words: tuple[str, ...], job: TuningJob) -> Qwen3ForCausalLM:
    """A random decoder whose embeddings of catalogue words start where their interests lie."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM, set_seed

    set_seed(job.seed)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        head_dim=HIDDEN // HEADS,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        pad_token_id=words.index(PAD),
        eos_token_id=words.index(END),
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    start, known = word_vectors(words, job, HIDDEN)
    with torch.no_grad():
        [table] = token_tables(model)
        scale = START_SCALE * config.initializer_range
        table[torch.from_numpy(known)] += scale * torch.from_numpy(start[known])
    return model


def take_weights(model: Qwen3ForCausalLM, words: tuple[str, ...], earlier: Path) -> None:
    """Give a model the weights of an earlier one; words that are new to it keep their first embeddings.

    Raises:
        ArtifactError: the earlier model can't be read.
    """
    import torch

    before, tokenizer = model_folder.load(earlier, "cpu")
    numbers = tokenizer.get_vocab()
    known = [row for row, word in enumerate(words) if word in numbers]
    [table], [earlier_table] = token_tables(model), token_tables(before)
    with torch.no_grad():
        table[known] = earlier_table[[numbers[words[row]] for row in known]]
        given = dict(model_folder.torch_module(before).named_parameters())
        for name, mine in model_folder.torch_module(model).named_parameters():
            if mine is not table:
                mine.copy_(given[name])


def word_vectors(
    words: tuple[str, ...], job: TuningJob, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Per word the mean vector of the interests named by it, projected at random to (words, width).

    Returns the vectors (unit variance per dimension) and which words have one.
    """
    index = {word: row for row, word in enumerate(words)}
    vectors = job.interests.vectors
    total = np.zeros((len(words), vectors.shape[1]))
    count = np.zeros(len(words))
    for name, vector in zip(names(job.interests.descriptions, job.mode), vectors, strict=True):
        for word in set(name.split()):
            total[index[word]] += vector
            count[index[word]] += 1
    known = count > 0
    mean = total[known] / count[known, None]
    mean -= mean.mean(axis=0)
    project = np.random.default_rng(job.seed).normal(size=(vectors.shape[1], width))
    placed = mean @ project
    result = np.zeros((len(words), width), np.float32)
    result[known] = placed / max(float(placed.std()), 1e-12)
    return result, known
