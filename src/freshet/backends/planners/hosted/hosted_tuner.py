"""The tuner of a model that is fine-tuned by its server, and then asked as any model behind a server is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.endpoint.chat import Form
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.forms import form_of
from freshet.backends.planners.endpoint.probe import failure
from freshet.backends.planners.endpoint.server_card import ServerCard, read_server_card
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.hosted.chat_examples import FORMS, Chats, chats
from freshet.backends.planners.hosted.job_file import JobFile, JobFiles
from freshet.backends.planners.hosted.job_service import JobService
from freshet.core.errors import AnswersPending, ConfigError, NotEnoughData, PlannerError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.types import Interests, TuningReport, Usage

LEAST = 10
"""Examples that a job needs."""

PASSES = 3
"""Passes over the examples that a price is told for where the server chooses their number."""

_NONE_MADE = (Failing.REFUSED, Failing.KEY, Failing.SPENT)
"""Refusals after which there is no job for sure."""

_KINDS = {"model": "the model of tables", "forerunner": "the model that is judged"}


class HostedTuner(Tuner):
    """Uploads examples, begins a job, and goes on in a later run once it has ended.

    A job that was begun is known by a file in the workspace. The next tuning that is due waits for it instead
    of paying for another, even if it is as of a later moment: the examples then end a little earlier.

    Args:
        asked: makes the tuner that asks a model of these settings, at once or in batches.
        settings: of the server and the model that is fine-tuned.
        root: of the workspace.
        spending: budgets and prices of the command.
        every_days: a job begun so many days ago is too old to be waited for.
        say: takes a line for a person.
    """

    def __init__(
        self,
        asked: Callable[[EndpointSettings], Tuner],
        settings: EndpointSettings,
        root: Path,
        spending: Spending,
        every_days: int,
        say: Callable[[str], None],
    ) -> None:
        self._asked = asked
        self._base = asked(settings)
        self._settings = settings
        self._spending = spending
        self._every_days = every_days
        self._say = say
        self._files = JobFiles(root)
        self._service = JobService(JsonClient(settings.endpoint, settings.api_key_env, settings.timeout))

    @property
    def recipe(self) -> str:
        """Of the base model and how it is asked."""
        return f"hosted {self._base.recipe}"

    def check(self, plan: TuningPlan) -> None:
        """Refuse what can't be asked, and a server without fine-tuning jobs."""
        self._base.check(plan)
        with self._told():
            exists = self._service.exists()
        if not exists:
            raise ConfigError(
                f"{self._service.client.base} has no fine-tuning jobs (/fine_tuning/jobs)",
                hint="set [tuning] hosted = false: evidence and prompts are refreshed without it",
            )

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        """Begin a job, or look how far it is; once it has ended well, write the card of its model.

        Raises:
            AnswersPending: it is under way; the same command goes on later.
            ConfigError: a setting can't be carried out there, or the budget doesn't allow it.
            NotEnoughData: there are too few examples for a job.
            PlannerError: the job failed; the next run begins another.
        """
        if job.learning_rate:
            raise ConfigError(
                "[tuning] learning_rate can't be chosen for a hosted job, which has a multiplier of its own",
                hint="leave it out",
            )
        chosen: dict[str, Any] = {"n_epochs": round(job.epochs)} if job.epochs else {}
        chosen |= {"batch_size": job.batch_size} if job.batch_size else {}
        recipe = json.dumps([self.recipe, chosen, job.seed])
        with self._told():
            begun = self._known(self._files.find(into.name, recipe, job.until, self._every_days))
            begun = begun or self._begun(job, into.name, recipe, chosen)
            found = self._service.look(begun.job)
        if found.problem:
            self._files.drop(begun)
            raise PlannerError(
                f"fine-tuning job {begun.job} ended without a model: {found.problem}",
                hint="see to it with the provider; the next run begins another job",
            )
        if not found.model:
            raise AnswersPending(
                f"{_KINDS.get(begun.role, begun.role)} is being fine-tuned by the server: job {begun.job} of "
                f"{begun.examples:,} examples is {found.state}"
            )
        self._files.save(replace(begun, model=found.model))
        tuned = self._asked(replace(self._settings, model=found.model, answers=begun.form))
        report = tuned.tune(job, into, progress)
        usage = report.usage + Usage(trained=found.trained or begun.tokens)
        return replace(report, examples=begun.examples, usage=usage)

    def version(self, model: Path, interests: Interests) -> str:
        """Of the fine-tuned model and how it is asked."""
        return self._base.version(model, interests)

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        """Those of a model that is asked so."""
        return self._base.abilities(model, interests)

    def open(self, model: Path, interests: Interests) -> Planner:
        """A planner that asks the fine-tuned model."""
        return self._base.open(model, interests)

    def _known(self, begun: JobFile | None) -> JobFile | None:
        """A job that was begun; one whose creation went unanswered is looked up with the server."""
        if begun is None or begun.job:
            return begun
        job = self._service.find(begun.name)
        if not job:
            self._files.drop(begun)
            return None
        self._say(f"fine-tuning job {job} was begun by an earlier run")
        return self._saved(replace(begun, job=job))

    def _begun(self, job: TuningJob, role: str, recipe: str, chosen: dict[str, Any]) -> JobFile:
        """Begin a job, after its price is told and the budget is looked at."""
        form, per_token = self._form(job)
        content = chats(form_of_name(form, job.interests), job.interests.descriptions, job.examples)
        name = f"freshet-{hashlib.sha256(content.content + recipe.encode()).hexdigest()[:24]}"
        again = self._known(self._files.named(name))
        if again is not None:
            return again
        tokens = self._expected(content, chosen.get("n_epochs", PASSES), role, per_token)
        file = self._service.upload(content.content, name)
        begun = JobFile(name, role, recipe, job.until, form, content.examples, tokens)
        self._files.save(begun)
        try:
            made = self._service.create(file, self._settings.model, name, chosen, job.seed)
        except Refusal as refusal:
            if refusal.status and refusal.why in _NONE_MADE:  # a garbled yes has no status of a refusal
                self._files.drop(begun)
            raise
        return self._saved(replace(begun, job=made))

    def _expected(self, content: Chats, passes: int, role: str, per_token: float) -> int:
        """Tokens that a job should train on, told with their price; refused where the budget is smaller."""
        if content.examples < LEAST:
            raise NotEnoughData(
                f"{content.examples} examples are too few for a fine-tuning job, which needs {LEAST}",
                hint="import more events, or set [tuning] hosted = false",
            )
        tokens = round(content.letters / per_token) * passes
        coming = Usage(trained=tokens)
        price = f"{self._spending.money(coming):.2f} {self._spending.currency}"
        self._say(
            f"fine-tuning {_KINDS.get(role, role)} on {content.examples:,} examples: about {tokens:,} tokens "
            f"in {passes} passes, {price if self._spending.trained else 'no price in [prices]'}"
        )
        if refusal := self._spending.refusal(coming):
            raise ConfigError(
                f"a fine-tuning job would take about {tokens:,} tokens: {refusal}; it is not begun",
                hint="raise it, or choose fewer examples with [tuning] examples_per_label or max_examples",
            )
        self._spending.used += coming
        return tokens

    def _form(self, job: TuningJob) -> tuple[str, float]:
        """The form in which the base model is asked best, and so is the fine-tuned one; letters per token."""
        with TemporaryDirectory() as folder:
            self._base.tune(job, Path(folder))
            card = read_server_card(Path(folder))
        if card.form not in FORMS:
            raise ConfigError(
                f"model {card.model} is asked for a {card.form}, which no example can be written for",
                hint='set [planner] answers = "text"',
            )
        return card.form, card.per_token

    def _saved(self, begun: JobFile) -> JobFile:
        self._files.save(begun)
        return begun

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Refusals as errors that say what to do."""
        try:
            yield
        except Refusal as refusal:
            raise failure(self._service.client, refusal) from None


def form_of_name(form: str, interests: Interests) -> Form:
    """The form of a name, as it asks about these interests."""
    return form_of(ServerCard("", "", form), interests.descriptions)
