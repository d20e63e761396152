"""What a server can do, by tiny requests whose answers prove it: servers ignore in silence what they lack."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Invalid
from freshet.backends.planners.endpoint.chat_server import ChatServer
from freshet.backends.planners.endpoint.chat_wire import Dialect
from freshet.backends.planners.endpoint.forms import most_options
from freshet.backends.planners.endpoint.letters_form import LettersForm
from freshet.backends.planners.endpoint.list_form import best_of, schema
from freshet.backends.planners.endpoint.server_card import ServerCard
from freshet.core.errors import ConfigError, PlannerError, PlannerGone
from freshet.core.types import Prompt, Usage

ALTERNATIVES = (20, 5)
"""Log-probabilities that are asked for; a server that refuses the first may give the second."""

NONSENSE = ("zorvblat", "quimquat")
"""What no model answers to a question about a capital, unless it is kept to it."""

_SAMPLE = 26
"""Options of the question that the probe asks."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found, and what finding it cost.

    Attributes:
        card: what is proven; its form is the best for the wanted kind of answers.
        usage: of the requests.
    """

    card: ServerCard
    usage: Usage


def probe(
    client: JsonClient, model: str, extra: Mapping[str, Any], names: Sequence[str], options: int, answers: str
) -> Probed:
    """Find out what a server can do, and how its model is asked best.

    Args:
        extra: what each request holds besides.
        names: descriptions of all interests.
        options: of each prompt.
        answers: `auto`, or the kind that is wanted: `letters`, `list`, `text`.

    Raises:
        ConfigError: the server doesn't know the model, or can't give the answers that are wanted.
        PlannerGone: it can't be reached, wants another key, or there is no balance left.
    """
    try:
        return _Probe(client, model, extra, names).run(options, answers)
    except Refusal as refusal:
        raise failure(client, refusal) from None


def failure(client: JsonClient, refusal: Refusal) -> PlannerError | ConfigError:
    """The error of a server that can't be asked anything."""
    told = f"{client.base}: {refusal.said}"
    hint = client.hint(refusal, "[planner]")
    if refusal.why == Failing.REFUSED:
        return ConfigError(told, hint=hint or "see to [planner] endpoint, model and request")
    again = "see to [planner] endpoint and the server; the same command continues where it was"
    return PlannerGone(told, hint=hint or again, retryable=refusal.passing)


class _Probe:
    def __init__(
        self, client: JsonClient, model: str, extra: Mapping[str, Any], names: Sequence[str]
    ) -> None:
        self.client = client
        self.server = ChatServer(client, model, Dialect(extra=extra))
        self.model = model
        self.names = names[:_SAMPLE]
        self.usage = Usage()

    def run(self, options: int, answers: str) -> Probed:
        listed, context = self.known_models()
        form = LettersForm(self.names, 0)
        question = form.request(Prompt((0,), f"liked : {self.names[0]} ; next :"))
        plain = self.spoken(question)
        length = sum(len(text) for _, text in question.messages)
        card = ServerCard(
            self.client.base,
            self.model,
            "text",
            listed=listed,
            context=context,
            limited=plain.written <= 1 if plain.written else None,
            characters=round(length / plain.read, 2) if plain.read else 0.0,
            limit=self.server.dialect.limit,
            temperature=self.server.dialect.temperature,
            system=self.server.dialect.system,
            request=dict(self.server.dialect.extra),
        )
        told = self.log_probabilities(question)
        card = replace(card, alternatives=len(told.logprobs) if told else 0, schema=self.keeps_schema())
        if told is None:
            card = replace(card, decision=self.decides())
        lettered = told is not None and not isinstance(
            form.choice(Prompt((0,), "", options=tuple(range(len(self.names)))), told), Invalid
        )
        return Probed(replace(card, form=best_form(card, options, answers, lettered)), self.usage)

    def ask(self, request: ChatRequest) -> ChatAnswer:
        sent = self.client.sent
        try:
            answer = self.server.ask(request)
        finally:
            self.usage += Usage(requests=self.client.sent - sent)
        self.usage += Usage(tokens=answer.read + answer.written, written=answer.written)
        return answer

    def known_models(self) -> tuple[bool | None, int]:
        """Whether the server lists the model, and the length of its context; (None, 0) without a list."""
        try:
            content = json.loads(self.client.get("/models"))
            entries = {str(one["id"]): one for one in content["data"]}
        except Refusal as refusal:
            if refusal.why in (Failing.REFUSED, Failing.BUSY):
                return None, 0
            raise
        except (ValueError, KeyError, TypeError):
            return None, 0
        entry = entries.get(self.model, {})
        return (self.model in entries if entries else None), length_of(entry, "n_ctx_train")

    def spoken(self, question: ChatRequest) -> ChatAnswer:
        """The answer to a plain question, asked in the way that the server wants.

        Raises:
            Refusal: it refuses every way.
        """
        while True:
            dialect = self.server.dialect
            try:
                return self.ask(question)
            except Refusal as refusal:
                said = refusal.said.lower()
                if refusal.why != Failing.REFUSED:
                    raise
                if "max_completion_tokens" in said and dialect.limit == "max_tokens":
                    self.server.dialect = replace(dialect, limit="max_completion_tokens")
                elif "temperature" in said and dialect.temperature:
                    self.server.dialect = replace(dialect, temperature=False)
                elif "system" in said and dialect.system:
                    self.server.dialect = replace(dialect, system=False)
                else:
                    raise

    def log_probabilities(self, question: ChatRequest) -> ChatAnswer | None:
        """An answer with log-probabilities that add up, None where the server gives none."""
        for alternatives in ALTERNATIVES:
            try:
                answer = self.ask(replace(question, top_logprobs=alternatives))
            except Refusal as refusal:
                if refusal.why != Failing.REFUSED:
                    raise
                continue
            total = sum(math.exp(min(logp, 1.0)) for _, logp in answer.logprobs)
            return answer if len(answer.logprobs) >= 2 and 0 < total <= 1.01 else None
        return None

    def keeps_schema(self) -> bool:
        """Whether an answer keeps to a schema that no answer would follow by chance."""
        asked = (("user", "What is the capital of France? Answer in one word."),)
        try:
            answer = self.ask(ChatRequest(asked, max_tokens=96, schema=schema(NONSENSE, 1)))
        except Refusal as refusal:
            if refusal.why not in (Failing.REFUSED, Failing.BUSY):  # some answer 500 to what they lack
                raise
            return False
        best = best_of(answer.text)
        return len(best) == 1 and best[0] in NONSENSE

    def decides(self) -> bool:
        """Whether the server tells probabilities of options by itself."""
        asked = (("user", "What is the capital of France?"),)
        try:
            answer = self.ask(ChatRequest(asked, max_tokens=1, decides=("Paris", "Berlin")))
        except Refusal as refusal:
            if refusal.why not in (Failing.REFUSED, Failing.BUSY):
                raise
            return False
        total = sum(math.exp(logp) for _, logp in answer.logprobs)
        return {name for name, _ in answer.logprobs} == {"Paris", "Berlin"} and abs(total - 1) < 0.01


def length_of(entry: Any, *names: str) -> int:
    """Length of the context by a model's entry in `/models`, 0 where it says none.

    Args:
        names: where llama.cpp has it, in `meta`.
    """
    entry = entry if isinstance(entry, Mapping) else {}
    meta = entry.get("meta") if isinstance(entry.get("meta"), Mapping) else {}
    told = [entry.get("max_model_len"), *(meta.get(name) for name in names)]
    return next((length for length in told if type(length) is int and length > 0), 0)


def best_form(card: ServerCard, options: int, answers: str, lettered: bool) -> str:
    """The form that says most among those that are proven and wanted.

    Args:
        options: of each prompt.
        answers: `auto`, `letters`, `list` or `text`.
        lettered: whether the model's likeliest answers to the probe's question held a letter.

    Raises:
        ConfigError: what is wanted was not proven.
    """
    proven = {
        "letters": card.alternatives >= 2 and (lettered or answers == "letters"),
        "decision": card.decision,
        "list": card.schema,
        "text": True,
    }
    wanted = {"auto": tuple(proven), "letters": ("letters", "decision")}.get(answers, (answers,))
    found = [form for form in wanted if proven[form]]
    if not found:
        lacks = {"letters": "gives no log-probabilities", "list": "doesn't keep to a JSON schema"}[answers]
        raise ConfigError(
            f"[planner] answers = {answers!r}: model {card.model} at {card.server} {lacks}",
            hint='set answers = "auto" to ask it in the best way that it was found to support',
        )
    fitting = [form for form in found if options <= most_options(form)]
    if not fitting:
        raise ConfigError(
            f"[planner] asks for one of {options} interests, and at most {most_options(found[0])} can be "
            f"listed in a prompt that is answered in the form {found[0]!r}",
            hint="set [planner] shortlist to fewer than that",
        )
    return fitting[0]
