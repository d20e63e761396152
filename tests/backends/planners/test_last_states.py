"""States at last tokens are those of the model itself, and so are the gradients."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_states_and_gradients_are_those_of_the_model(layers: int) -> None:
    from freshet.backends.planners.last_states import Beginnings, LastStates

    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=12,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        max_position_embeddings=16,
        tie_word_embeddings=True,
    )
    model = transformers.Qwen3ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    rows = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3], [7], [1, 2, 6, 4, 5], [3, 2, 3, 4]]
    batch = np.array([4, 0, 1, 2, 3])
    prompts, which = Beginnings(rows).of(batch, torch.device("cpu"))
    assert len(prompts.last) == 4  # two of the five are the same
    assert len(prompts.first) == 9  # 1; 1 2; 1 2 3; and two, three and one more
    states = LastStates(model, 5)(prompts)[which]
    wanted = torch.stack(
        [model.base_model(input_ids=torch.tensor([rows[row]])).last_hidden_state[0, -1] for row in batch]
    )
    torch.testing.assert_close(states, wanted, rtol=1e-4, atol=1e-5)
    pull = torch.randn_like(wanted)
    named = dict(model.named_parameters())
    found = torch.autograd.grad((states * pull).sum(), list(named.values()), allow_unused=True)
    other = torch.autograd.grad((wanted * pull).sum(), list(named.values()), allow_unused=True)
    for name, one, two in zip(named, found, other, strict=True):
        torch.testing.assert_close(
            one, two, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
