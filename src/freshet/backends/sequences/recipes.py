"""Sizes of sequence models and how they are trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass

CODE = 3
"""Raised when the same recipe and job give other weights."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes of the model and how it is trained; chosen on three logs before their test periods (decision 12).

    Attributes:
        width, layers, heads, inner: of the network; `inner` is the width of its feed-forward part.
        dropout: share of the stream that is left out at random.
        learning_rate, weight_decay, batch_size: of AdamW; norms and biases do not decay.
        average: of the weights over steps, the share that each step keeps.
        most_passes: epochs, at most; the name is part of `version`.
        most_flops: spent where held-out rows end the training, at most, unless the job says how many steps.
        patience: checks without a gain beyond noise that end the training.
    """

    width: int = 64
    layers: int = 1
    heads: int = 2
    inner: int = 128
    dropout: float = 0.3
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 256
    average: float = 0.99
    most_passes: float = 20.0
    most_flops: float = 4e12
    patience: int = 2

    @property
    def version(self) -> str:
        """Names what decides the weights, beside the job; part of the key of the artifacts made by it."""
        settings = " ".join(f"{name}={value}" for name, value in asdict(self).items())
        return f"code={CODE} {settings}"


@dataclass(frozen=True, slots=True)
class ItemRecipe(Recipe):
    """As `Recipe`, and how items are learned; chosen on three logs before their test periods (decision 18).

    Attributes:
        share_all: weight of the loss over all items, beside that over the items of the interest.
        unlearned: share of the items that do without what was learned of them at a step, as new ones must.
        calm: scale of what histories say at first; popularity speaks alone, until they have something to say.
    """

    share_all: float = 1.0
    unlearned: float = 0.0
    calm: float = 0.1
