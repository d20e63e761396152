"""A planner that is asked in files: it collects what it has to ask, and ranks once the answers are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freshet.backends.planners.batch.batches import Answers, Batches
from freshet.backends.planners.batch.layout import Layout
from freshet.backends.planners.endpoint.chat import ChatRequest, Choice, Form, Invalid
from freshet.core.errors import AnswersPending, ConfigError
from freshet.core.ports import Abilities, Planner
from freshet.core.types import Prompt, Ranking, Usage

GIVEN_UP = 3
"""Times that a provider may fail on one request before its row is left to counts."""

LETTERS_PER_TOKEN = 4
"""Of what is read, for estimates."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A prompt's request that has no answer yet."""

    id: str
    request: ChatRequest


class BatchPlanner(Planner):
    """A model that is asked in batches.

    `prepare` collects the requests that no answer is kept for, `ready` writes those that aren't out already
    and halts the run. An answer that is no valid choice is asked for again in the next batch, with what was
    wrong with it. `rank` sends nothing: it reads the answers.

    Args:
        version: of the planner; answers are kept under it.
        model: what the provider calls it.
        form: how prompts are asked, and answers read.
        layout: of the files.
        answers: where answers are kept.
        batches: of the workspace.
        again: times that a prompt is asked again after an answer that was no valid choice.
        most_tokens: that one batch may cost by the estimate; 0 = no limit.
        options: whether the form chooses among a prompt's own options.
    """

    def __init__(
        self,
        version: str,
        model: str,
        form: Form,
        layout: Layout,
        answers: Answers,
        batches: Batches,
        again: int = 2,
        most_tokens: int = 0,
        options: bool = True,
    ) -> None:
        self._version = version
        self.model = model
        self.form = form
        self.layout = layout
        self.answers = answers
        self.batches = batches
        self.again = again
        self.most_tokens = most_tokens
        self.options = options
        self._wanted: dict[str, ChatRequest] = {}

    @property
    def version(self) -> str:
        """Identity of model, form and wording; answers are kept under it."""
        return self._version

    @property
    def abilities(self) -> Abilities:
        """It prepares, and writes nothing freely."""
        return Abilities(prepares=True, options=self.options)

    @property
    def note(self) -> str:
        """How it is asked."""
        return f"{self.model} is asked in batches ({self.layout.name}), answers as {self.form.name}"

    def prepare(self, prompts: Sequence[Prompt]) -> None:
        """Collect the requests of these prompts that have no answer."""
        for state in self._states(prompts):
            if isinstance(state, Missing):
                self._wanted[state.id] = state.request

    def ready(self) -> None:
        """Write what isn't out yet, and halt where answers are missing.

        Raises:
            AnswersPending: answers come later.
            ConfigError: the batch would cost more than the budget allows; nothing is written.
        """
        wanted, self._wanted = self._wanted, {}
        failures = self.batches.index.failures(list(wanted))
        open_ = [key for key in wanted if failures.get(key, (0, ""))[0] < GIVEN_UP]
        if not open_:
            return
        out = self.batches.index.outstanding(open_)
        new = {key: wanted[key] for key in open_ if key not in out}
        told = [f"{len(out):,} are out already"] if out else []
        if new:
            tokens = sum(map(expected_tokens, new.values()))
            if self.most_tokens and tokens > self.most_tokens:
                raise ConfigError(
                    f"the next batch would take about {tokens:,} tokens, [planner] max_tokens_per_run is "
                    f"{self.most_tokens:,}; nothing is written",
                    hint='raise it, ask about fewer contexts ([inference] contexts = "observed"), or list '
                    "fewer interests in a prompt",
                )
            number, files = self.batches.write(
                self.layout, new, model=self.model, planner=self.version, tokens=tokens
            )
            where = self.batches.index.folder(number)
            told.insert(
                0,
                f"{len(new):,} requests are written to {where.parent.name}/{where.name} ({len(files)} files, "
                f"{sum(file.size for file in files) / 1e6:.1f} MB, about {tokens:,} tokens)",
            )
        problems = [problem for key in new if (problem := failures.get(key, (0, ""))[1])]
        if problems:
            told.append(f"{len(problems):,} of them are asked again: {max(problems, key=problems.count)}")
        raise AnswersPending(
            f"{len(open_):,} answers of {self.model} are missing: {', '.join(told)}",
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

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """What the requests that have no answer should take."""
        states = self._states(prompts)
        wanted = {state.id: state.request for state in states if isinstance(state, Missing)}
        written = sum(request.max_tokens for request in wanted.values())
        tokens = sum(map(expected_tokens, wanted.values()))
        return Usage(tokens, written=written, requests=len(wanted))

    def _states(self, prompts: Sequence[Prompt]) -> list[Choice | Missing | Invalid]:
        """What is known of each prompt: its choice, its next request, or why its last answer is no choice."""
        states: list[Choice | Missing | Invalid] = [Invalid("it was never asked")] * len(prompts)
        rows = list(range(len(prompts)))
        before: dict[int, Invalid] = {}
        for _ in range(self.again + 1):
            requests = [self.form.request(prompts[row], before.get(row)) for row in rows]
            keys = [request.id(self.version) for request in requests]
            found = self.answers.find(keys)
            left = []
            for row, key, request in zip(rows, keys, requests, strict=True):
                if key not in found:
                    states[row] = Missing(key, request)
                    continue
                states[row] = read = self.form.choice(prompts[row], found[key])
                if isinstance(read, Invalid):
                    before[row] = read
                    left.append(row)
            rows = left
        return states


def expected_tokens(request: ChatRequest) -> int:
    """Tokens that a request should read and write, at most."""
    letters = sum(len(text) for _, text in request.messages)
    return -(-letters // LETTERS_PER_TOKEN) + request.max_tokens
