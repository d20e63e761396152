"""The tuner of a model behind a server: nothing is trained, but what the server can do is found out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freshet.backends.http_json import JsonClient
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.chat_server import ChatServer
from freshet.backends.planners.endpoint.endpoint_planner import ABILITIES, EndpointPlanner, version_of
from freshet.backends.planners.endpoint.forms import most_options
from freshet.backends.planners.endpoint.probe import probe
from freshet.backends.planners.endpoint.server_card import ServerCard, read_server_card
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.wording import WORDING
from freshet.core.errors import ConfigError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.types import Interests, TuningReport

CODE = 1
"""Raised when the same settings give another card."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What is configured about a model behind a server.

    Attributes:
        endpoint: base URL; `/chat/completions` is added.
        model: what the server calls it.
        api_key_env: environment variable of the key; '' = none.
        answers: `auto`, or the kind that is wanted: `letters`, `list`, `text`.
        concurrency: requests under way at once.
        timeout: seconds that the server may keep silent.
        tries: times that a prompt is asked again whose answer was not valid.
        shortlist: options of each prompt; 0 = all interests.
        request: what each request holds besides.
    """

    endpoint: str
    model: str
    api_key_env: str = ""
    answers: str = "auto"
    concurrency: int = 16
    timeout: float = 60.0
    tries: int = 2
    shortlist: int = 0
    request: Mapping[str, Any] = field(default_factory=dict)


class EndpointTuner(Tuner):
    """Probes the server, and opens planners on what was found.

    Args:
        settings: of the server and the model.
        root: of the workspace, where answers are kept.
        spending: budgets that all planners of this tuner share.
    """

    def __init__(self, settings: EndpointSettings, root: Path, spending: Spending) -> None:
        self.settings = settings
        self.store = AnswerStore(root)
        self.spending = spending

    @property
    def trains(self) -> bool:
        return False

    @property
    def recipe(self) -> str:
        """Of the address, the model's name, how it is asked."""
        one = self.settings
        parts = [one.endpoint.rstrip("/"), one.model, one.answers, one.shortlist, dict(one.request)]
        return f"openai {CODE}.{WORDING} {json.dumps(parts, sort_keys=True)}"

    def check(self, plan: TuningPlan) -> None:
        if plan.mode != "description":
            raise ConfigError(
                f'[planner] mode = "{plan.mode}": labels say nothing to a model elsewhere',
                hint='set mode = "description", or leave it out',
            )
        options = self._options(len(plan.descriptions))
        if options > most_options("text"):
            raise ConfigError(
                f"[planner] asks for one of {options} interests, and at most {most_options('text')} can be "
                "listed in a prompt",
                hint="set [planner] shortlist to fewer: the likeliest by counts are listed then",
            )

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        one, names = self.settings, job.interests.descriptions
        found = probe(self._client(1), one.model, one.request, names, self._options(len(names)), one.answers)
        self.spending.used += found.usage
        found.card.write(into)
        progress(1, 1)
        return TuningReport(0, 0.0, (), found.usage, str(found.card))

    def version(self, model: Path, interests: Interests) -> str:
        return version_of(read_server_card(model), interests.descriptions)

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002
        return ABILITIES

    def open(self, model: Path, interests: Interests) -> EndpointPlanner:
        return self._planner(read_server_card(model), interests)

    def preview(self, interests: Interests) -> Planner:
        """A planner that tells what asking would cost before anything was asked, even a probe."""
        one = self.settings
        form = {"auto": "text"}.get(one.answers, one.answers)
        return self._planner(ServerCard(one.endpoint.rstrip("/"), one.model, form), interests)

    def _planner(self, card: ServerCard, interests: Interests) -> EndpointPlanner:
        one = self.settings
        server = ChatServer(self._client(one.concurrency), card.model, card.dialect)
        return EndpointPlanner(
            card, interests.descriptions, server, self.store, self.spending, one.concurrency, one.tries
        )

    def _client(self, connections: int) -> JsonClient:
        one = self.settings
        return JsonClient(one.endpoint, one.api_key_env, one.timeout, connections, silences=2)

    def _options(self, interests: int) -> int:
        return min(self.settings.shortlist or interests, interests)
