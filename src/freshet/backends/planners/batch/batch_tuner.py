"""The tuner of a model that is asked in batches: nothing is trained, and nothing is probed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freshet.backends.http_json import JsonClient
from freshet.backends.planners.batch import anthropic_service, gemini_service
from freshet.backends.planners.batch.anthropic_layout import AnthropicLayout
from freshet.backends.planners.batch.anthropic_service import AnthropicService
from freshet.backends.planners.batch.batch_planner import ABILITIES, BatchPlanner
from freshet.backends.planners.batch.batch_service import Service
from freshet.backends.planners.batch.batches import Batches
from freshet.backends.planners.batch.gemini_layout import GeminiLayout
from freshet.backends.planners.batch.gemini_service import GeminiService
from freshet.backends.planners.batch.layout import Layout
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.backends.planners.batch.openai_service import OpenAIService
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.endpoint_planner import version_of
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings, EndpointTuner
from freshet.backends.planners.endpoint.forms import form_of, most_options
from freshet.backends.planners.endpoint.server_card import ServerCard, read_server_card
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.errors import ConfigError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.types import Interests, TuningReport, Usage

ALTERNATIVES = 20
"""Log-probabilities of letters that are asked for: as many as OpenAI and Gemini give."""

UPLOAD_SECONDS = 600.0
"""How long a provider may keep silent at least: files are large."""


class BatchTuner(Tuner):
    """Notes how a model is asked in batches, and opens planners that do.

    Nothing is probed: that would take a batch of its own. The gates' sample, which is asked first and is
    small, shows whether the answers are valid.

    Args:
        settings: of the server and the model.
        layout: `openai`, `gemini` or `anthropic`.
        root: of the workspace, where batches and answers are kept.
        spending: budgets of the command.
    """

    def __init__(self, settings: EndpointSettings, layout: str, root: Path, spending: Spending) -> None:
        self.settings = settings
        self.layout = layout_of(layout, settings.model, settings.request)
        self.answers = AnswerStore(root)
        self.batches = Batches(root, self.answers)
        self.spending = spending
        self._asked_at_once = EndpointTuner(settings, root, spending)

    @property
    def trains(self) -> bool:
        """Its weights are elsewhere."""
        return False

    @property
    def recipe(self) -> str:
        """Of the address, the model's name, how it is asked, and the layout."""
        return f"{self._asked_at_once.recipe} {self.layout.name}"

    def check(self, plan: TuningPlan) -> None:
        """Refuse labels, log-probabilities where there are none, and prompts with too many options."""
        self._asked_at_once.check(plan)
        form = self._form
        if form == "letters" and not self.layout.logprobs:
            raise ConfigError(
                f'[planner] answers = "letters": batches of {self.layout.name} hold no log-probabilities',
                hint='set answers = "list", or leave it out',
            )
        interests = len(plan.descriptions)
        options = min(self.settings.shortlist or interests, interests)
        if options > most_options(form):
            raise ConfigError(
                f"[planner] asks for one of {options} interests, and at most {most_options(form)} can be "
                f"listed in a prompt that is answered in the form {form!r}",
                hint="set [planner] shortlist to fewer than that",
            )

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:  # noqa: ARG002
        """Write the card; the server is not asked."""
        card = self._card
        card.write(into)
        progress(1, 1)
        return TuningReport(0, 0.0, (), Usage(), str(card))

    def version(self, model: Path, interests: Interests) -> str:
        """Of the card and the interests."""
        return version_of(read_server_card(model), interests.descriptions)

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002 - the same for all
        """Those of batches."""
        return ABILITIES

    def open(self, model: Path, interests: Interests) -> BatchPlanner:
        """The planner on a card."""
        return self._planner(read_server_card(model), interests)

    def preview(self, interests: Interests) -> Planner:
        """A planner that tells what asking would cost before anything was asked."""
        return self._planner(self._card, interests)

    @property
    def _form(self) -> str:
        """All three providers keep to a schema; not all of them give log-probabilities."""
        return {"auto": "list"}.get(self.settings.answers, self.settings.answers)

    @property
    def _card(self) -> ServerCard:
        one, form = self.settings, self._form
        return ServerCard(
            one.endpoint.rstrip("/"),
            one.model,
            form,
            alternatives=ALTERNATIVES if form == "letters" else 0,
            schema=form == "list",
            request=dict(one.request),
            batch=self.layout.name,
        )

    def _planner(self, card: ServerCard, interests: Interests) -> BatchPlanner:
        names = interests.descriptions
        layout = layout_of(self.layout.name, card.model, card.request)
        return BatchPlanner(
            card,
            names,
            form_of(card, names),
            layout,
            self.answers,
            self.batches,
            self.spending,
            self.settings.tries,
        )


def layout_of(name: str, model: str, body: Mapping[str, Any]) -> Layout:
    """The layout of a provider.

    Args:
        name: `openai`, `gemini` or `anthropic`.
        body: what each request holds besides.
    """
    if name == "gemini":
        return GeminiLayout(body)
    return AnthropicLayout(model, body) if name == "anthropic" else OpenAILayout(model, body)


def service_of(name: str, settings: EndpointSettings) -> Service:
    """The batch API of a provider.

    Args:
        name: as of `layout_of`.
    """
    where = settings.endpoint, settings.api_key_env, max(settings.timeout, UPLOAD_SECONDS)
    if name == "gemini":
        return GeminiService(JsonClient(*where, signed=gemini_service.signed), settings.model)
    if name == "anthropic":
        return AnthropicService(JsonClient(*where, signed=anthropic_service.signed))
    return OpenAIService(JsonClient(*where))
