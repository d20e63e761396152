"""Trains sequence models with torch: AdamW, dropout, averaged weights, early stopping, then a refit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from freshet.backends.clock import Clock
from freshet.backends.planners.extras import need_local
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Progress, SequenceJob, SequenceReport, silent
from freshet.core.types import IntArray, SequenceWeights, Usage

if TYPE_CHECKING:
    from freshet.backends.sequences.network import Network

CODE = 1
FEWEST = 50
"""Sequences below which there is nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes of the model and how it is trained; chosen on three logs before their test periods (decision 12).

    Attributes:
        width, layers, heads, inner: of the network; `inner` is the width of its feed-forward part.
        dropout: share of the stream that is left out at random.
        learning_rate, weight_decay, batch_size: of AdamW; norms and biases do not decay.
        average: of the weights over steps, the share that each step keeps.
        most_passes: over the rows, at most.
        most_flops: spent on the search for the number of passes, at most, unless the job says how many steps.
        patience: checks (two a pass) without improvement that end the search for the number of passes.
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
    patience: int = 4


class TorchSequenceTrainer:
    """Chooses the number of passes on the last fifth of the rows, then learns from all of them anew."""

    def __init__(self, recipe: Recipe | None = None) -> None:
        self.recipe = recipe or Recipe()

    @property
    def version(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in asdict(self.recipe).items())
        return f"torch code={CODE} {settings}"

    def train(self, job: SequenceJob, progress: Progress = silent) -> tuple[SequenceWeights, SequenceReport]:
        """See `SequenceTrainer`; runs on one thread, so that the sums don't depend on the machine's cores.

        Raises:
            MissingExtra: torch is not installed.
            NotEnoughData: fewer than 50 rows.
        """
        need_local("torch", instead="[sequence] use = false")
        rows = len(job.sequences)
        if rows < FEWEST:
            raise NotEnoughData(
                f"{rows} sequences are too few to learn from, {FEWEST} are needed",
                hint="import more events, or set [sequence] use = false",
            )
        from freshet.backends.sequences.training import Rows, Training

        with one_thread():
            clock = Clock(job.budget)
            passes, held_out, spent = job.passes, None, 0.0
            if not job.passes:
                cut = rows - rows // 5
                earlier, later = job.sequences.take(slice(cut)), job.sequences.take(slice(cut, None))
                search = Training(self.recipe, job, Rows(earlier), progress, clock)
                passes, held_out = search.until_no_better(Rows(later))
                spent = search.read
            training = Training(self.recipe, job, Rows(job.sequences), progress, clock)
            network = training.for_passes(passes)
            usage = usage_of(network, job.sequences.recent, spent + training.read)
            return network.frozen(), SequenceReport(
                rows, passes, held_out, usage, clock.steps, clock.stopped_after
            )


def usage_of(network: Network, recent: IntArray, read: float) -> Usage:
    """Forward and backward (three times the forward) of so many rows; all parameters work on every token,
    the embeddings of all V things once a row."""
    per_row = float((recent >= 0).sum()) / len(recent)
    shape = network.shape
    body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
    forward = 2.0 * (body * per_row + shape.width * shape.vocabulary)
    return Usage(round(read * per_row), 3.0 * forward * read)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread in the block: its sums don't depend on the machine's cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
