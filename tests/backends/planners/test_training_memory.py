"""Memory that is told from shapes, against what the same operations take with numbers in them."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    PreTrainedModel,
    Qwen3Config,
)
from trl.trainer.utils import add_fused_lm_head

from freshet.backends.planners.libraries import quiet
from freshet.backends.planners.lora import lora_config
from freshet.backends.planners.training_memory import LiveBytes, TrainingMemory, needed

SHAPE = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CONFIGS = {
    "qwen3": Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=True),
    "llama": LlamaConfig(**SHAPE),
    "gpt2": GPT2Config(vocab_size=500, n_embd=64, n_layer=3, n_head=4),
}
ROWS, TOKENS = 8, 30


def model(kind: str, device: str = "meta") -> PreTrainedModel:
    with torch.device(device):
        return AutoModelForCausalLM.from_config(CONFIGS[kind])


def told(kind: str, rank: int = 0, *, rows: int = ROWS, low: bool = False, **how: bool) -> TrainingMemory:
    sketch = model(kind)
    lora = lora_config(rank, "description", sketch) if rank else None
    how = {"checkpointing": False, "accumulates": False, **how}
    return needed(sketch, lora, shape=(rows, TOKENS), low=low, **how)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_shapes_take_what_numbers_take(kind: str, checkpointing: bool) -> None:
    real = model(kind, "cpu")
    if checkpointing:
        real.activation_checkpointing_enable({"use_reentrant": False})
        real.enable_input_require_grads()
    add_fused_lm_head(real, outputs=("log_probs", "entropy", "is_top1"))
    real.train()
    with LiveBytes([*real.parameters(), *real.buffers()]) as live:
        ids = torch.zeros((ROWS, TOKENS), dtype=torch.long)
        mask = torch.ones_like(ids)
        read = real(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False, fused_lm_head=True)
        loss = -read.log_probs.sum()
        del read
        loss.backward()
    gradients = sum(p.numel() * 4 for p in real.parameters())
    assert told(kind, checkpointing=checkpointing).activations == pytest.approx(
        live.peak - gradients, rel=0.1
    )


def test_weights_gradients_and_optimiser_follow_what_is_trained() -> None:
    count = sum(p.numel() for p in model("llama").parameters())
    full, half = told("llama"), told("llama", low=True)
    assert (full.weights, full.gradients, full.optimiser) == (4 * count, 4 * count, 8 * count)
    assert half.weights == full.weights  # what is trained stays in float32
    few, few_half = told("llama", 4), told("llama", 4, low=True)
    trained = few.gradients // 4
    assert 0 < trained < count / 5
    assert few.weights == 4 * (count + trained)
    assert few_half.weights == 2 * count + 4 * trained
    assert few.optimiser == 8 * trained
    assert few.total == few.weights + few.gradients + few.optimiser + few.activations


def test_less_is_kept_where_layers_are_computed_twice_or_fewer_rows_are_read() -> None:
    plain = told("qwen3").activations
    assert told("qwen3", checkpointing=True).activations < 0.95 * plain  # most of it is the loss
    assert told("qwen3", rows=4).activations < 0.6 * plain
    assert (
        told("qwen3", accumulates=True).activations > plain
    )  # gradients of the portion before are there too


def test_an_architecture_that_needs_numbers_is_said_not_to_be_counted() -> None:
    with torch.device("meta"):
        experts = AutoModelForCausalLM.from_config(MixtralConfig(**SHAPE, num_local_experts=2))
    with quiet():
        found = needed(experts, None, shape=(2, 8), low=False, checkpointing=False, accumulates=False)
    assert found.activations == 0
    assert "what a batch takes is not counted: models of type mixtral" in str(found)
    assert "activations" in str(told("gpt2"))
