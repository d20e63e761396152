"""A planner that is asked in files: it collects what it has to ask, and ranks once the answers are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from freshet.backends.planners.batch.batches import Answers, Batches
from freshet.backends.planners.batch.layout import Layout
from freshet.backends.planners.endpoint.answer_store import MOST
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Form, Invalid
from freshet.backends.planners.endpoint.endpoint_planner import version_of
from freshet.backends.planners.endpoint.server_card import ServerCard
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.errors import AnswersPending, ConfigError
from freshet.core.ports import Abilities, Planner
from freshet.core.types import Prompt, Ranking, Usage

GIVEN_UP = 3
"""Times that a provider may fail on one request before its row is left to counts."""

ABILITIES = Abilities(generates=True, prepares=True, options=True)


@dataclass(frozen=True, slots=True)
class Missing:
    """A prompt's request that has no answer yet, and what was wrong with the answer before, if any."""

    id: str
    request: ChatRequest
    before: Invalid | None = None


class BatchPlanner(Planner):
    """A model that is asked in batches.

    `prepare` collects the requests that no answer is kept for, `ready` writes those that aren't out already
    and halts the run. An answer that is no valid choice is asked for again in the next batch, with what was
    wrong with it. `rank` sends nothing: it reads the answers.

    Args:
        card: what is asked, and how.
        names: descriptions of all interests.
        form: how prompts are asked, and answers read.
        layout: of the files.
        answers: where answers are kept, under the planner's version.
        batches: of the workspace.
        spending: budgets of the command.
        tries: times that a prompt is asked again after an answer that was no valid choice.
    """

    def __init__(
        self,
        card: ServerCard,
        names: Sequence[str],
        form: Form,
        layout: Layout,
        answers: Answers,
        batches: Batches,
        spending: Spending,
        tries: int = 2,
    ) -> None:
        self.card = card
        self.names = names
        self.form = form
        self.layout = layout
        self.answers = answers
        self.batches = batches
        self.spending = spending
        self.tries = tries
        self._version = version_of(card, names)
        self._wanted: dict[str, ChatRequest] = {}
        self._invalid: dict[str, str] = {}
        self._prepared = 0

    @property
    def version(self) -> str:
        """As of the same model asked at once: an answer holds however it came."""
        return self._version

    @property
    def abilities(self) -> Abilities:
        """It prepares; what it writes is judged by its first answers, as of a model that is asked at once."""
        return ABILITIES

    @property
    def note(self) -> str:
        """What is asked, and how."""
        return str(self.card)

    def prepare(self, prompts: Sequence[Prompt]) -> None:
        """Collect the requests of these prompts that have no answer."""
        self._prepared += len(prompts)
        for state in self._states(prompts):
            if isinstance(state, Missing):
                self._wanted[state.id] = state.request
                if state.before is not None:
                    self._invalid[state.id] = state.before.reason

    def ready(self) -> None:
        """Write what isn't out yet, and halt where answers are missing.

        Raises:
            AnswersPending: answers come later.
            ConfigError: the batch would cost more than the budget allows, or there are more prompts than
                answers are kept; nothing is written.
        """
        wanted, self._wanted = self._wanted, {}
        invalid, self._invalid = self._invalid, {}
        prepared, self._prepared = self._prepared, 0
        if prepared > MOST:  # the oldest answers would be gone, and asked again and again
            raise ConfigError(
                f"{prepared:,} prompts are more than the {MOST:,} answers that are kept",
                hint='ask about fewer contexts ([inference] contexts = "observed")',
            )
        failures = self.batches.index.failures(list(wanted))
        open_ = [key for key in wanted if failures.get(key, (0, ""))[0] < GIVEN_UP]
        if not open_:
            return
        out = self.batches.index.outstanding(open_)
        new = {key: wanted[key] for key in open_ if key not in out}
        told = [f"{len(out):,} are out already"] if out else []
        if new:
            coming = self._expected(new.values())
            if refusal := self.spending.refusal(coming):
                raise ConfigError(
                    f"the next batch would take about {coming.tokens:,} tokens: {refusal}; "
                    "nothing is written",
                    hint='raise it, ask about fewer contexts ([inference] contexts = "observed"), or list '
                    "fewer interests in a prompt",
                )
            number, files = self.batches.write(
                self.layout, new, model=self.card.model, planner=self.version, expected=coming
            )
            self.spending.used += coming
            size = sum(file.size for file in files) / 1e6
            where = self.batches.index.folder(number)
            told.insert(
                0,
                f"{plural(len(new), 'request')} written to {where.parent.name}/{where.name} "
                f"({plural(len(files), 'file')}, {size:.1f} MB, about {coming.tokens:,} tokens)",
            )
        wrong = [invalid[key] for key in new if key in invalid]
        if wrong:
            told.append(f"{len(wrong):,} of them ask again what had no valid answer: {wrong[0]}")
        problems = [problem for key in new if (problem := failures.get(key, (0, ""))[1])]
        if problems:
            told.append(f"{len(problems):,} of them are asked again: {max(problems, key=problems.count)}")
        raise AnswersPending(
            f"{plural(len(open_), 'answer')} of {self.card.model} missing: {', '.join(told)}",
            hint="`freshet batch submit` sends the files and `freshet batch fetch` takes answers in; or send "
            "them yourself and name the results to `freshet batch read`",
        )

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """Rank by the answers that are there; the others are failures."""
        states = self._states(prompts)
        lost = [state.id for state in states if isinstance(state, Missing)]
        reasons = self.batches.index.failures(lost)
        successors = np.full((len(prompts), top), -1, np.int16)
        logp = np.full((len(prompts), top), -np.inf, np.float32)
        failures: list[tuple[int, str]] = []
        for row, state in enumerate(states):
            if isinstance(state, Choice):
                width = min(top, len(state.successors))
                successors[row, :width] = state.successors[:width]
                logp[row, :width] = state.logp[:width]
            elif isinstance(state, Invalid):
                failures.append((row, state.reason))
            else:
                times, problem = reasons.get(state.id, (0, ""))
                told = f"given up after {times} tries: {problem}" if times else "it has no answer"
                failures.append((row, told))
        return Ranking(successors, logp, Usage(), tuple(failures))

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        """The first choice as a description where the first answer is valid, else what was written."""
        keys = [self.form.request(prompt).id(self.version) for prompt in prompts]
        found = self.answers.find(keys)
        texts = []
        for prompt, key in zip(prompts, keys, strict=True):
            answer = found.get(key, ChatAnswer(""))
            choice = self.form.choice(prompt, answer)
            texts.append(answer.text if isinstance(choice, Invalid) else self.names[choice.successors[0]])
        return texts

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """What the requests that have no answer should take, at most."""
        states = self._states(prompts)
        wanted = {state.id: state.request for state in states if isinstance(state, Missing)}
        return self._expected(wanted.values())

    def _expected(self, requests: Iterable[ChatRequest]) -> Usage:
        """What requests should take, at most."""
        usage = Usage()
        for request in requests:
            letters = sum(len(text) for _, text in request.messages)
            read = round(letters / self.card.per_token)
            usage += Usage(read + request.max_tokens, written=request.max_tokens, requests=1)
        return usage

    def _states(self, prompts: Sequence[Prompt]) -> list[Choice | Missing | Invalid]:
        """What is known of each prompt: its choice, its next request, or why its last answer is no choice."""
        states: list[Choice | Missing | Invalid] = [Invalid("it was never asked")] * len(prompts)
        rows = list(range(len(prompts)))
        before: dict[int, Invalid] = {}
        for _ in range(self.tries + 1):
            requests = [self.form.request(prompts[row], before.get(row)) for row in rows]
            keys = [request.id(self.version) for request in requests]
            found = self.answers.find(keys)
            left = []
            for row, key, request in zip(rows, keys, requests, strict=True):
                if key not in found:
                    states[row] = Missing(key, request, before.get(row))
                    continue
                states[row] = read = self.form.choice(prompts[row], found[key])
                if isinstance(read, Invalid):
                    before[row] = read
                    left.append(row)
            rows = left
        return states


def plural(count: int, what: str) -> str:
    """A number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
