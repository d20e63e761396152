"""Where vectors of texts come from: anything that knows a language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports.run_ports import Progress, silent


class Encoder(Protocol):
    """Turns texts into vectors; whatever texts are beside it, a text has the same vector but for rounding.

    Raises (both members):
        ConfigError: the model can't be found or read.
        MissingExtra: a package is not installed.
    """

    @property
    def version(self) -> str:
        """Identity of the encoder and its weights, fit for the name of a folder; part of artifacts' keys."""

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """(n, d) a unit row per text; a zero row for a text with nothing in it but blanks.

        `d` is 0 where no text has anything in it and the width is only known from an answer.

        Raises:
            EncoderError: the texts could not be encoded; retryable where it may go well later.
        """


def is_blank(text: str) -> bool:
    """Whether a text has nothing in it to encode."""
    return not text or text.isspace()
