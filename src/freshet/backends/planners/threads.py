"""How many threads a model deserves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SMALL = 5_000_000
"""Parameters below which the work of one operation is too little to be shared."""


def is_small(model: PreTrainedModel) -> bool:
    """Whether one operation of the model is too little work for several threads."""
    return sum(parameter.numel() for parameter in model.parameters()) < SMALL


@contextmanager
def threads_for(model: PreTrainedModel) -> Iterator[None]:
    """Run a small model on one thread, and leave a larger one to torch.

    At the size of `scratch`, two threads on two free cores gain nothing, on busy cores they lose up to nine
    tenths of the speed to waiting for each other; and on one thread the sums don't depend on the machine's
    number of cores.
    """
    import torch

    before = torch.get_num_threads()
    if is_small(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
