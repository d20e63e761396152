"""Whether a server tells the probabilities of certain tokens, and whether they are those of a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.endpoint.chat_wire import BadAnswer
from freshet.backends.planners.endpoint.probe import length_of
from freshet.backends.planners.endpoint.token_server import COMPLETIONS, read_choice, read_completions
from freshet.backends.planners.endpoint.token_wire import DIALECTS, TokenDialect
from freshet.core.errors import ConfigError
from freshet.core.types import Usage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def find_dialect(
    client: JsonClient, model: str, text: Sequence[int], wanted: Sequence[int]
) -> tuple[TokenDialect, Usage]:
    """How a server is asked: the first way in which it tells of all wanted tokens, likely or not.

    Args:
        text: token ids.
        wanted: at least two tokens that a model would not list by itself.

    Raises:
        ConfigError: it can't be asked in any way, or doesn't know the model.
        Refusal: it can't be reached, or wants another key.
    """
    why: list[str] = []
    usage = Usage()
    for dialect in DIALECTS:
        content = {"model": model, **dialect.question([text], wanted)}
        sent = client.sent
        try:
            choices, cost = client.asked(COMPLETIONS, content, read_completions(1))
            usage += cost
            found = read_choice(dialect.logprobs, choices[0], wanted)
            if np.isfinite(found).all() and np.ptp(found) > 0:
                return dialect, usage + Usage(requests=client.sent - sent)
            why.append(f"{dialect.name}: all tokens are as probable")
        except Refusal as refusal:
            if refusal.why not in (Failing.REFUSED, Failing.BUSY):  # some answer 500 to what they lack
                raise
            why.append(f"{dialect.name}: {refusal.said}")
        except BadAnswer as error:
            why.append(f"{dialect.name}: {error}")
        usage += Usage(requests=client.sent - sent)
    raise ConfigError(
        f'[planner] answers = "tokens": model {model} at {client.base} does not tell the probabilities of '
        f"tokens that it is asked about ({'; '.join(why)})",
        hint='serve it with vLLM or llama.cpp\'s own server, or set answers = "auto"',
    )


def context_of(client: JsonClient, model: str) -> int:
    """Tokens that a text may have by the server's list of models, 0 where it doesn't say.

    Raises:
        ConfigError: the server lists other models only.
    """
    try:
        entries = {str(one["id"]): one for one in json.loads(client.get("/models"))["data"]}
    except (Refusal, ValueError, KeyError, TypeError):
        return 0
    if entries and model not in entries:
        raise ConfigError(
            f"[planner] model = {model!r} is not served at {client.base}, which lists {', '.join(entries)}",
            hint="set model to one of these",
        )
    return length_of(entries.get(model, {}), "n_ctx", "n_ctx_train")


def spells_alike(
    client: JsonClient, model: str, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]
) -> bool | None:
    """Whether a server spells tokens as a tokenizer does, spaces apart; None where it doesn't tell.

    Args:
        client: of the server's root, without `/v1`.
    """
    try:
        content = client.asked("/detokenize", {"model": model, "tokens": list(tokens)}, json.loads)
        text = content["prompt"] if "prompt" in content else content["content"]
    except (Refusal, ValueError, KeyError, TypeError):
        return None
    own = str(tokenizer.decode(list(tokens), skip_special_tokens=False))
    return "".join(str(text).split()) == "".join(own.split())
