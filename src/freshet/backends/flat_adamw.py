"""AdamW over all weights of a network as one vector.

A step of a small network is mostly the overhead of its operations. Torch's own optimisers take several of
them for each tensor, and making one imports a compiler, which takes a second.
"""

from __future__ import annotations

import math
from itertools import accumulate

import torch
from torch import Tensor, nn

MOMENTUM, SPREAD = 0.9, 0.98
"""Shares of the averages of gradients and of their squares that a step keeps."""

LONGEST = 1.0
"""Norm of a gradient beyond which it is scaled down."""

EPSILON = 1e-8


class FlatWeights:
    """A network's parameters, laid side by side in one vector which they are views of from then on.

    Attributes:
        values: (w,) all of them.
        ends: where each of the groups ends.
    """

    def __init__(self, groups: list[list[nn.Parameter]]) -> None:
        self.parameters = [parameter for group in groups for parameter in group]
        self.values = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        sizes = [sum(parameter.numel() for parameter in group) for group in groups]
        self.ends = list(accumulate(sizes))
        for parameter, place in zip(self.parameters, self.views(self.values), strict=True):
            parameter.data = place

    def views(self, vector: Tensor) -> list[Tensor]:
        """The parts of a (w,) vector in the shapes of the parameters."""
        parts = torch.split(vector, [parameter.numel() for parameter in self.parameters])
        return [part.view_as(parameter) for part, parameter in zip(parts, self.parameters, strict=True)]

    def part(self) -> None:
        """Give each parameter a place of its own again."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()


class FlatAdamW:
    """Steps of AdamW (Loshchilov and Hutter 2019) after gradients were clipped to a norm of 1.

    Args:
        weights: what it changes, in three groups: weights that decay, others, and a few that learn faster.
        decay: of the first group, per step and unit of the learning rate.
        faster: the last group's learning rate, in units of the others'.
    """

    def __init__(self, weights: FlatWeights, decay: float, faster: float) -> None:
        self._weights, self._decay, self._faster = weights, decay, faster
        self._gradient = torch.zeros_like(weights.values)
        self._mean, self._square = torch.zeros_like(weights.values), torch.zeros_like(weights.values)
        self._change = torch.empty_like(weights.values)
        self._step = 0
        for parameter, place in zip(weights.parameters, weights.views(self._gradient), strict=True):
            parameter.grad = place

    def forget(self) -> None:
        """Gradients are zero again."""
        self._gradient.zero_()

    def step(self, rate: float) -> None:
        """Change the weights by the gradients that a backward pass left, at a learning rate."""
        self._step += 1
        values, gradient = self._weights.values, self._gradient
        norm = float(gradient.norm())
        if norm > LONGEST:
            gradient.mul_(LONGEST / norm)
        self._mean.lerp_(gradient, 1 - MOMENTUM)
        self._square.mul_(SPREAD).addcmul_(gradient, gradient, value=1 - SPREAD)
        change = torch.sqrt(self._square, out=self._change)
        change.div_(math.sqrt(1 - SPREAD**self._step)).add_(EPSILON)
        torch.div(self._mean, change, out=change)
        pace = rate / (1 - MOMENTUM**self._step)
        decaying, usual, _ = self._weights.ends
        values[:decaying].mul_(1 - rate * self._decay)
        values[:usual].sub_(change[:usual], alpha=pace)
        values[usual:].sub_(change[usual:], alpha=pace * self._faster)
