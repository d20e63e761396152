"""Questions about next tokens as servers want them on `/completions`, and what they answer.

Texts go as token ids, so that no server cuts them up in its own way, and answers come as ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.endpoint.chat_wire import BadAnswer
from freshet.backends.planners.token_search import Decode


class TokenDialect(Protocol):
    """How a kind of server is asked for the log-probabilities of certain tokens."""

    @property
    def name(self) -> str:
        """Of the kind of server, in cards and messages."""

    @property
    def most(self) -> int:
        """Tokens that one question may be about."""

    @property
    def texts(self) -> int:
        """Texts that one request may hold."""

    @property
    def pieces(self) -> bool:
        """Whether it tells of tokens that are only a part of a letter."""

    def question(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        """The body that asks for the same wanted tokens after each text."""

    def logprobs(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> NDArray[np.float64]:
        """(c,) log-probabilities of the wanted tokens in an answer, which may all be off by one amount.

        Raises:
            BadAnswer: they aren't there.
        """

    def whole(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        """The body that asks how much of the whole probability lies on the wanted tokens."""

    def share(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> float:
        """That share, of those of the wanted tokens that the answer shows."""

    def text(self, texts: Sequence[Sequence[int]], most: int, end: int) -> dict[str, Any]:
        """The body that asks for the most probable text, `most` tokens long at most."""

    def written(self, choice: Mapping[str, Any], end: int, decode: Decode) -> str:
        """Such a text, up to the end token."""


class VllmDialect:
    """vLLM: `logprob_token_ids`, true log-probabilities of up to 128 tokens whatever their rank."""

    name = "vllm"
    most = 128
    texts = 32
    pieces = True

    def question(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        asked = {"max_tokens": 1, "logprobs": len(wanted), "logprob_token_ids": list(wanted)}
        return {**_plain(texts), **asked, "return_tokens_as_token_ids": True}

    def logprobs(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> NDArray[np.float64]:
        told = choice["logprobs"]["top_logprobs"][0]
        return _of(wanted, {name: float(logp) for name, logp in told.items()}, "token_id:{}".format)

    def whole(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        return self.question(texts, wanted)

    def share(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> float:
        return float(np.exp(self.logprobs(choice, wanted)).sum())

    def text(self, texts: Sequence[Sequence[int]], most: int, end: int) -> dict[str, Any]:
        asked = {"max_tokens": most, "logprobs": 0, "stop_token_ids": [end]}
        return {**_plain(texts), **asked, "return_tokens_as_token_ids": True}

    def written(self, choice: Mapping[str, Any], end: int, decode: Decode) -> str:
        tokens = [int(token.removeprefix("token_id:")) for token in choice["logprobs"]["tokens"]]
        return decode(tokens[: tokens.index(end)] if end in tokens else tokens)


class LlamaDialect:
    """llama.cpp's server: the wanted tokens are raised far above all others, whose place they then take.

    A bias of 100 leaves the ratios among them as they were, which is all that a choice needs, and the rest a
    share of e^-100. Log-probabilities without a bias come for the most probable tokens only.
    """

    name = "llama.cpp"
    most = 4096
    texts = 1
    pieces = False  # an answer whose token is no whole letter comes without probabilities
    raised = 100.0

    def question(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        sampling = {
            "temperature": 1.0,
            "samplers": ["temperature"],
            "post_sampling_probs": True,
        }
        asked = {"max_tokens": 1, "n_probs": len(wanted), "logit_bias": self._bias(wanted)}
        return {**_plain(texts), **asked, **sampling}

    def logprobs(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> NDArray[np.float64]:
        told = choice["logprobs"]["content"][0]["top_probs"]
        logp = {int(one["id"]): math.log(max(float(one["prob"]), 1e-45)) for one in told}
        return _of(wanted, logp, int)

    def whole(self, texts: Sequence[Sequence[int]], wanted: Sequence[int]) -> dict[str, Any]:
        # what is drawn is raised, so that it is a whole word; what is told are probabilities from before that
        asked = {"max_tokens": 1, "n_probs": 2 * len(wanted), "logit_bias": self._bias(wanted)}
        return {**_plain(texts), **asked, "post_sampling_probs": False}

    def share(self, choice: Mapping[str, Any], wanted: Sequence[int]) -> float:
        told, names = choice["logprobs"]["content"][0]["top_logprobs"], set(wanted)
        return sum(math.exp(float(one["logprob"])) for one in told if int(one["id"]) in names)

    def _bias(self, wanted: Sequence[int]) -> list[list[float]]:
        return [[token, self.raised] for token in wanted]

    def text(self, texts: Sequence[Sequence[int]], most: int, end: int) -> dict[str, Any]:  # noqa: ARG002
        return {**_plain(texts), "max_tokens": most}

    def written(self, choice: Mapping[str, Any], end: int, decode: Decode) -> str:  # noqa: ARG002
        return str(choice["text"])  # its tokens come only with letters that are whole


DIALECTS: tuple[TokenDialect, ...] = (VllmDialect(), LlamaDialect())


def dialect_of(name: str) -> TokenDialect:
    """The dialect of a card."""
    return next(one for one in DIALECTS if one.name == name)


def _plain(texts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The beginning of every body; one text stands alone, which every server understands."""
    prompts = [list(text) for text in texts]
    return {"prompt": prompts[0] if len(prompts) == 1 else prompts, "temperature": 0}


def _of(wanted: Sequence[int], told: Mapping[Any, float], key: Any) -> NDArray[np.float64]:
    try:
        return np.array([told[key(token)] for token in wanted])
    except KeyError as error:
        raise BadAnswer(f"it says nothing of token {error}, which was asked for") from None
