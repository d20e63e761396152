"""The planner on a model behind a server: prompts become requests, answers become rankings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.asker import Asker
from freshet.backends.planners.endpoint.chat import ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.chat_server import ChatServer
from freshet.backends.planners.endpoint.forms import form_of, most_options
from freshet.backends.planners.endpoint.server_card import ServerCard
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.wording import WORDING
from freshet.core.errors import PlannerError, PlannerGone
from freshet.core.ports import Abilities, Planner
from freshet.core.types import Prompt, Ranking, Usage

ABILITIES = Abilities(generates=True, options=True)
"""What it writes can be judged: `generate` gives the first choice as a description, or what was written."""

_WRITTEN = {"letters": 1, "decision": 0, "list": 24, "text": 40}
"""Tokens that an answer takes, for estimates."""


def version_of(card: ServerCard, names: Sequence[str]) -> str:
    """Version of the planner on a card.

    It covers the address, the model's name, how it is asked and the interests. What weights the server has
    nobody can see from here: whoever changes them behind a name changes the name, or moves the folder of
    answers away.
    """
    decides = [card.server, card.model, card.form, card.alternatives, WORDING, dict(card.request), *names]
    text = json.dumps([*decides, card.limit, card.temperature, card.system], sort_keys=True)
    return f"openai-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class EndpointPlanner(Planner):
    """Ranks by asking a server, each prompt once: what was answered is kept in the workspace.

    Args:
        card: what the server can do, and how it is asked.
        names: descriptions of all interests.
        server: asked by several threads.
        store: where answers are kept.
        spending: budgets of the command.
        concurrency: requests under way at once.
        tries: times that a prompt is asked again whose answer was not valid.
    """

    def __init__(
        self,
        card: ServerCard,
        names: Sequence[str],
        server: ChatServer,
        store: AnswerStore,
        spending: Spending,
        concurrency: int,
        tries: int,
    ) -> None:
        self.card = card
        self.names = names
        self._form = form_of(card, names)
        self._store = store
        self._asker = Asker(server, store, spending, concurrency, self._estimate)
        self._tries = tries
        self._gone = ""
        self._version = version_of(card, names)

    @property
    def version(self) -> str:
        return self._version

    @property
    def abilities(self) -> Abilities:
        return ABILITIES

    @property
    def note(self) -> str:
        return str(self.card)

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """The choices of each prompt; answers that are no choice are asked again, with what was wrong.

        Where the server is gone in the middle, what it answered counts (`Ranking.gone`).
        """
        if self._gone:
            raise PlannerGone(self._gone)
        found: dict[int, Choice] = {}
        failures: dict[int, str] = {}
        usage, tries = Usage(), 0
        asked: dict[int, Invalid | None] = dict.fromkeys(range(len(prompts)))
        while asked:
            requests = {row: self._request(prompts[row], before) for row, before in asked.items()}
            ids = {row: request.id(self._version) for row, request in requests.items()}
            answered = self._asker.answers({ids[row]: request for row, request in requests.items()})
            self._gone = self._gone or answered.gone
            usage += answered.usage
            invalid: dict[int, Invalid] = {}
            for row, name in ids.items():
                if name in answered.failures:
                    failures[row] = answered.failures[name]
                elif name in answered.answers:
                    choice = self._form.choice(prompts[row], answered.answers[name])
                    if isinstance(choice, Invalid):
                        invalid[row] = choice
                    else:
                        found[row] = choice
            usage += Usage(invalid=len(invalid))
            failures |= {row: f"no valid answer: {one.reason}" for row, one in invalid.items()}
            asked = {} if self._gone or tries == self._tries else dict(invalid)
            tries += 1
        if self._gone and not found:
            raise PlannerGone(self._gone)
        failed = tuple((row, reason) for row, reason in sorted(failures.items()) if row not in found)
        return Ranking(*_rows(found, len(prompts), top), usage, failed, self._gone)

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        """The first choice as a description where the first answer is valid, else what was written."""
        requests = [self._request(prompt) for prompt in prompts]
        ids = [request.id(self._version) for request in requests]
        answered = self._asker.answers(dict(zip(ids, requests, strict=True)))
        self._gone = self._gone or answered.gone
        if self._gone:
            raise PlannerGone(self._gone)
        texts = []
        for prompt, name in zip(prompts, ids, strict=True):
            if name not in answered.answers:
                texts.append("")
                continue
            answer = answered.answers[name]
            choice = self._form.choice(prompt, answer)
            texts.append(answer.text if isinstance(choice, Invalid) else self.names[choice.successors[0]])
        return texts

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """What asking costs that was not asked before, if every first answer is valid."""
        requests = {}
        for prompt in prompts:
            request = self._request(prompt)
            requests[request.id(self._version)] = request
        known = self._store.find(requests)
        return sum((self._estimate(one) for name, one in requests.items() if name not in known), Usage())

    def _request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        """The request of a prompt, whose options the form has room for."""
        options, most = len(prompt.options or self.names), most_options(self.card.form)
        if options > most:
            raise PlannerError(
                f"a prompt has {options} options, and the form {self.card.form!r} has room for {most}",
                hint="lower [planner] shortlist, then run `freshet finetune`, which probes the server again",
            )
        return self._form.request(prompt, before)

    def _estimate(self, request: ChatRequest) -> Usage:
        """Expected tokens of a request that is sent once."""
        length = sum(len(text) for _, text in request.messages) + sum(map(len, request.decides))
        written = _WRITTEN[self.card.form]
        return Usage(round(length / self.card.per_token) + written, written=written, requests=1)


def _rows(found: Mapping[int, Choice], count: int, top: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """(count, m) successors and log-probabilities, -1 and -inf where there are none."""
    width = min(top, max((len(choice.successors) for choice in found.values()), default=0))
    successors = np.full((count, width), -1, np.int16)
    logp = np.full((count, width), -np.inf, np.float32)
    for row, choice in found.items():
        held = min(width, len(choice.successors))
        successors[row, :held], logp[row, :held] = choice.successors[:held], choice.logp[:held]
    return successors, logp
