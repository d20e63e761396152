"""Toy worlds with a rule that is known: the successor depends on the last interest alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freshet.core.ports import Budget, TuningJob
from freshet.core.prompts import names, render
from freshet.core.types import Context, ContextEvidence, Example, Interests, Prompt, Successor

DESCRIPTIONS = (
    "war",
    "war drama",  # names that begin like others, or are the beginning of others
    "war drama family",
    "war comedy",
    "drama",
    "drama war",
    "comedy family",
    "comedy family western",
    "western",
    "family war western",
    "family war comedy",
    "horror",
)
N = len(DESCRIPTIONS)


def interests() -> Interests:
    vectors = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    return Interests(np.arange(N, dtype=np.int32), DESCRIPTIONS, vectors)


def rule(context: Context) -> int:
    """What comes after a context in the planted world."""
    return (context[-1] * 5 + 3) % N


def prompts(mode: str, count: int, seed: int = 0) -> list[Prompt]:
    """Random contexts of one or two interests."""
    rng = np.random.default_rng(seed)
    known = names(DESCRIPTIONS, mode)
    found = []
    for _ in range(count):
        context = tuple(int(i) for i in rng.choice(N, rng.integers(1, 3), replace=False))
        found.append(Prompt(context, render(context, known)))
    return found


def with_evidence(mode: str, count: int, seed: int) -> list[tuple[Prompt, int]]:
    """Prompts whose evidence names a random interest, which is the one that comes next."""
    rng = np.random.default_rng(seed)
    known = names(DESCRIPTIONS, mode)
    found = []
    for _ in range(count):
        context = tuple(int(i) for i in rng.choice(N, 2, replace=False))
        answer = int(rng.integers(N))
        evidence = ContextEvidence(context, (Successor(answer, 0.5, 20.0),))
        found.append((Prompt(context, render(context, known, evidence)), answer))
    return found


def examples(mode: str, count: int, seed: int = 0) -> list[Example]:
    known = names(DESCRIPTIONS, mode)
    return [
        Example(prompt, rule(prompt.context), known[rule(prompt.context)])
        for prompt in prompts(mode, count, seed)
    ]


def job(
    mode: str,
    samples: list[Example],
    *,
    epochs: float = 5,
    learning_rate: float = 5e-3,
    lora_rank: int = 0,
    budget: Budget | None = None,
    seed: int = 0,
) -> TuningJob:
    return TuningJob(
        interests=interests(),
        examples=samples,
        corpus=DESCRIPTIONS,
        mode=mode,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=32,
        lora_rank=lora_rank,
        budget=budget or Budget(),
        seed=seed,
    )


def save_checkpoint(into: Path, kind: str = "qwen3", tokenizer=None, *, head_dim: int = 16) -> Path:
    """A random checkpoint with a BPE tokenizer of its own, as a user might bring one; not a Freshet folder."""
    import torch

    tokenizer = tokenizer or _tokenizer()
    torch.manual_seed(0)
    model = _model(kind, len(tokenizer), head_dim)
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)
    return into


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    text = [prompt.text for prompt in prompts("description", 50)] + list(DESCRIPTIONS)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")


def _model(kind: str, tokens: int, head_dim: int):
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    shape = {
        "vocab_size": tokens,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": head_dim,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
        "initializer_range": 0.2,  # far from uniform answers, so that errors show
    }
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**shape, tie_word_embeddings=True))
    if kind == "llama":  # its output head is a table of its own
        return LlamaForCausalLM(LlamaConfig(**shape))
    if kind == "sliding":  # its cache forgets, so it can't be shared among continuations
        return MistralForCausalLM(MistralConfig(**shape, sliding_window=6))
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokens,
            n_embd=48,
            n_layer=2,
            n_head=4,
            n_positions=256,
            bos_token_id=None,
            eos_token_id=0,
            initializer_range=0.2,
        )
    )
