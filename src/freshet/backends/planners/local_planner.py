"""The planner on a local causal language model: any Hugging Face architecture, in a folder a tuner wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners import model_folder
from freshet.backends.planners.bulk import trie
from freshet.backends.planners.decoder import max_positions, threads_for, token_tables
from freshet.backends.planners.libraries import need_local
from freshet.backends.planners.tokenisation import Tokenisation, check_room
from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities, Planner
from freshet.core.prompts import names
from freshet.core.types import Interests, Prompt, Ranking, Usage

if TYPE_CHECKING:
    from freshet.backends.planners.bulk.engine import Engine

BATCH = 128
"""Prompts that are written after in one go."""


def version_of(model: Path, interests: Interests, beam: int) -> str:
    """Version of the planner on a folder that a tuner wrote; the model is not loaded for it."""
    card = model_folder.read_card(model)
    decides = (model_folder.checksum(model), card.mode, str(beam), *names(interests.descriptions, card.mode))
    return hashlib.sha256("\0".join(decides).encode()).hexdigest()[:16]


def abilities_of(card: model_folder.Card) -> Abilities:
    """A local model always writes; labels are names of one token each, in label mode."""
    return Abilities(generates=True, labels=card.mode == "label", relative=card.relative, options=True)


def among_options(ranking: Ranking, prompts: Sequence[Prompt], top: int) -> Ranking:
    """A ranking of all names, held to the options of each prompt that has some: their probabilities sum to 1.

    Options that the search did not reach are left out; where it reached none, the prompt has failed.
    """
    found, logp = ranking.successors.copy(), ranking.logp.copy()
    failures = list(ranking.failures)
    for row, prompt in enumerate(prompts):
        if not prompt.options or (found[row] < 0).all():  # no answer to be held to them
            continue
        kept = np.isin(found[row], prompt.options)
        if not kept.any():
            failures.append((row, "the search reached none of the options; raise [inference] beam"))
        count, own = int(kept.sum()), logp[row, kept]
        whole = np.logaddexp.reduce(own.astype(np.float64)) if count else 0.0
        chosen = found[row, kept]
        found[row], logp[row] = -1, -np.inf
        found[row, :count] = chosen
        logp[row, :count] = np.minimum(own - whole, 0.0)
    return Ranking(found[:, :top], logp[:, :top], ranking.usage, tuple(sorted(failures)), ranking.gone)


class LocalPlanner(Planner):
    """Ranks names by constrained search; without the constraint it shows whether it has kept the form.

    Args:
        model: a folder that a tuner wrote.
        interests: what to rank; in the order of `Ranking.successors`.
        beam: branches of the trie of names followed per prompt and level.
        device: `auto`, `cpu`, `cuda`.

    Raises:
        ArtifactError: the folder is missing or damaged.
        PlannerError: the tokenizer can't tell two interests apart, doesn't know a word, or cuts up a label.
    """

    def __init__(self, model: Path, interests: Interests, beam: int = 16, device: str = "auto") -> None:
        need_local("torch", "transformers", "safetensors")
        card = model_folder.read_card(model)
        self._model, tokenizer = model_folder.load(model, device)
        self._words = Tokenisation.of(tokenizer, card.chat)
        self.beam = beam
        self.names = names(interests.descriptions, card.mode)
        completions = self._words.answers(self.names, card.mode)
        self._trie = trie.build(completions)
        self._labels = [tokens[0] for tokens in completions]
        self._engine: Engine | None = None
        if self._trie.branches:
            from freshet.backends.planners.bulk.engine import Engine

            self._engine = Engine(self._model, self._trie)
        self._version = version_of(model, interests, beam)
        self._abilities = abilities_of(card)
        self._lock = Lock()  # while it ranks, the model attends in another way

    @property
    def version(self) -> str:
        return self._version

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    @property
    def note(self) -> str:
        """Why beginnings of prompts are not shared with this model; '' where they are."""
        if self._engine is None or not self._engine.slow:
            return ""
        return f"every prompt is read in full, which is slower: with this model {self._engine.slow}"

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if self._engine is None:
            only = np.zeros((len(prompts), min(top, self._trie.size)))
            return Ranking(only.astype(np.int16), only.astype(np.float32))
        narrow = any(prompt.options for prompt in prompts)
        with self._lock:
            width = self._trie.size if narrow else top
            ranking = self._engine.rank(self._tokens(prompts), self.beam, width)
        broken = np.flatnonzero(np.isnan(ranking.logp).any(axis=1))
        if len(broken):
            raise PlannerError(
                f"the model's scores for context {prompts[broken[0]].context} are not finite",
                hint="the weights are damaged or training diverged: run `freshet finetune` again",
            )
        return among_options(ranking, prompts, top) if narrow else ranking

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Tokens and FLOPs if the beam is full at every level, which is the most it can be."""
        return Usage() if self._engine is None else self._engine.size(self._tokens(prompts), self.beam)

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        import torch
        from transformers import GenerationConfig

        end, limit = self._words.end, max_positions(self._model)
        texts = [""] * len(prompts)
        for rows, tokens in self._batches(prompts):
            ids = torch.from_numpy(tokens).to(self._model.device)
            room = self._trie.longest + 2  # enough to see that an answer goes on too long
            settings = GenerationConfig(  # type: ignore[no-untyped-call]
                max_new_tokens=room if limit is None else min(room, limit - ids.shape[1]),
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )
            with self._lock, threads_for(self._model), torch.inference_mode():
                whole: torch.Tensor = self._model.generate(  # type: ignore[operator]
                    ids, attention_mask=torch.ones_like(ids), generation_config=settings
                )
            written = whole[:, ids.shape[1] :]
            for row, answer in zip(rows, written.tolist(), strict=True):
                kept = answer[: answer.index(end)] if end in answer else answer
                texts[row] = str(self._words.tokenizer.decode(kept)).strip()
        return texts

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        if not self._abilities.labels:
            return super().label_mass(prompts)
        from freshet.backends.planners.bulk.plain import PlainReader

        words = np.arange(len(token_tables(self._model)[-1]))
        mass = np.empty(len(prompts))
        for rows, tokens in self._batches(prompts):
            with self._lock, threads_for(self._model):
                logits, _ = PlainReader(self._model, words).logits(tokens.tolist())
            share = logits.double().softmax(dim=1)[:, self._labels].sum(dim=1)
            mass[rows] = share.clamp(max=1.0).cpu().numpy()
        return mass

    def _tokens(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Tokens of each prompt, checked to leave room for an answer."""
        tokens = self._words.prompts(prompts)
        check_room(prompts, tokens, self._trie.longest, max_positions(self._model))
        return tokens

    def _batches(self, prompts: Sequence[Prompt]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Row numbers (b,) and tokens (b, p) of prompts of one length, so that none needs padding."""
        tokens = self._tokens(prompts)
        order = sorted(range(len(tokens)), key=lambda row: (len(tokens[row]), row))
        for _, group in groupby(order, key=lambda row: len(tokens[row])):
            rows = np.array(list(group), np.int64)
            for start in range(0, len(rows), BATCH):
                part = rows[start : start + BATCH]
                yield part, np.array([tokens[row] for row in part], np.int64)
