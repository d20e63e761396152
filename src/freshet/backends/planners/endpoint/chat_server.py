"""A chat server over HTTP: one request, one answer, however often it has to be sent for that."""

from __future__ import annotations

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.backends.planners.endpoint.chat_wire import (
    BadAnswer,
    Dialect,
    answer_of,
    body_of,
    decision_body,
    decision_of,
)
from freshet.backends.telemetry import gen_ai

CHAT, DECISION = "/chat/completions", "/systemone"


class ChatServer:
    """A model behind a server.

    Args:
        client: of the server.
        model: what the server calls it.
        dialect: how it wants to be asked.
    """

    def __init__(self, client: JsonClient, model: str, dialect: Dialect) -> None:
        self.client = client
        self.model = model
        self.dialect = dialect

    def ask(self, request: ChatRequest) -> ChatAnswer:
        """The answer to a request; may be called by several threads.

        Raises:
            Refusal: there is none.
        """
        with gen_ai.call("chat", self.client.base, self.model, request.max_tokens) as call:
            if request.decides:
                answer = self.client.asked(DECISION, decision_body(request, self.model), _decided)
            else:
                answer = self.client.asked(CHAT, body_of(request, self.model, self.dialect), _answered)
            call.used(answer.read, answer.written)
        return answer


def _answered(body: bytes) -> ChatAnswer:
    try:
        return answer_of(body)
    except BadAnswer as error:
        raise _refusal(error) from None


def _decided(body: bytes) -> ChatAnswer:
    try:
        return decision_of(body)
    except BadAnswer as error:
        raise _refusal(error) from None


def _refusal(error: BadAnswer) -> Refusal:
    return Refusal(Failing.BUSY if error.cut_short else Failing.REFUSED, str(error))
