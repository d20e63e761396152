"""The sample of held-out transitions that a planner is judged on, and what its answers forecast for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.prompts import Question, Wording
from freshet.core.types import Eligibility, Prompt, ShortLists, Transitions, pack_contexts
from freshet.run_context import RunContext
from freshet.stages import counts
from freshet.stages.content import step as content
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.evidence.step import gather
from freshet.stages.prompts.short_lists import scale
from freshet.stages.prompts.step import ListMaker
from freshet.stages.table import Rules

FLOOR = 1e-9
"""Least probability that a planner is taken to give an interest, as in the table."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Held-out transitions to judge on, and what was known of them beforehand.

    Attributes:
        held: n transitions.
        prompts: what the planner is asked, each once per window; `bare` are the same without evidence.
        row: (n,) the prompt of each transition.
        popularity: (P, n, N) log-share of each interest at each half-life, as of the last refresh.
        base: which of the half-lives relative answers multiply.
        counted: (n, N) log-probabilities by counts that were fitted on other windows, -inf where known.
        lists: what the planner chooses among at each of the prompts; None = all interests.
    """

    held: Transitions
    prompts: list[Prompt]
    bare: list[Prompt]
    row: NDArray[np.int64]
    popularity: NDArray[np.float64]
    base: int
    counted: NDArray[np.float64]
    lists: ShortLists | None = None


def sample_of(ctx: RunContext, wording: Wording) -> Sample:
    """Transitions of users of every held-out window, with the evidence and the lists of its start.

    Raises:
        NotEnoughData: nothing that is held out has a context.
    """
    maker = ListMaker.of(ctx, content.make(ctx)) if ctx.config.planner.shortlist else None
    rules = Rules.resolve(Eligibility(), ctx.log.interests)  # what may be offered plays no part
    fitter, windows = ctx.fitter, ctx.fitter.holdout.windows
    share = max(1, ctx.config.gates.sample // max(len(windows), 1))
    held: list[Transitions] = []
    prompts: list[Prompt] = []
    bare: list[Prompt] = []
    row: list[NDArray[np.int64]] = []
    popular: list[NDArray[np.float64]] = []
    counted: list[NDArray[np.float64]] = []
    lists: list[ShortLists] = []
    for number, window in enumerate(windows):
        sample = _users_of(window, share)
        contexts = sample.contexts(fitter.k)
        distinct = sorted(set(contexts))
        packed = pack_contexts(distinct, fitter.k)
        then = gather(ctx, window.start, packed)
        place = {context: len(prompts) + i for i, context in enumerate(distinct)}
        among: list[list[int]] = [[]] * len(distinct)
        if maker is not None:
            lists.append(maker.at(window.start, packed, rules))
            among = [[index for index in row if index >= 0] for row in lists[-1].options.tolist()]
        asked = list(zip(distinct, among, strict=True))
        prompts += [wording.prompt(Question.of(c, then.get(c), own)) for c, own in asked]
        bare += [wording.prompt(Question.of(c, options=own)) for c, own in asked]
        rows = np.array([place[context] for context in contexts], np.int64)
        for part in fitter.holdout.cut(number, sample):
            scorer = fitter.cross_fitted(part)
            shape = (len(scorer.model.popularity), len(part.held), len(wording.names))
            held.append(part.held)
            row.append(rows[part.rows])
            popular.append(np.broadcast_to(scorer.model.popularity[:, None, :], shape))
            counted.append(scorer(part.held.recent, part.held.known).count)
    if not prompts:
        raise NotEnoughData(
            "no held-out transition has a context to judge the tuned model on",
            hint='import more events, or set [planner] kind = "counts"',
        )
    return Sample(
        Transitions.concatenate(held),
        prompts,
        bare,
        np.concatenate(row),
        np.concatenate(popular, axis=1),
        ctx.log.scales.steady,
        np.concatenate(counted),
        ShortLists.concatenate(lists) if lists else None,
    )


def _users_of(window: Window, share: int) -> Transitions:
    rows = window.held.with_context()
    taken: Transitions = rows.take(np.sort(np.argsort(rows.user, kind="stable")[:share]))
    return taken


def forecast_of(
    logp: NDArray[np.float64], known: NDArray[np.bool_], base: NDArray[np.float64], *, relative: bool
) -> NDArray[np.float64]:
    """(n, N) log-probabilities over the candidates, by a planner's answers.

    What an answer leaves open is shared out as the table does it: by popularity, which also answers where the
    planner doesn't.

    Args:
        logp: (n, N) the answers, -inf where it gave none.
        known: (n, N) what is no candidate.
        base: (n, N) log-popularity that relative answers multiply.
    """
    listed, popular = np.isfinite(logp), np.exp(base)
    share = np.exp(logp)
    rest = np.where(listed, 0.0, 1.0 if relative else popular)
    left = np.clip(1.0 - share.sum(axis=1, keepdims=True), 0.0, 1.0)
    share = share + left * rest / np.maximum(rest.sum(axis=1, keepdims=True), FLOOR)
    if relative:
        share = share * popular
    share = np.where(listed.any(axis=1, keepdims=True), share, popular)
    return counts.log_softmax(np.log(np.maximum(share, FLOOR)), known)


def forecast(planner: Planner, sample: Sample, answered: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, N) log-probabilities for the sample, by a planner's answers (P, N) to its prompts."""
    relative, known = planner.abilities.relative, sample.held.known
    base = counts.log_softmax(sample.popularity[sample.base], known)
    logp = answered[sample.row]
    if sample.lists is not None:
        share = sample.lists.mass[sample.row].astype(np.float64)
        mass = scale(share, logp, known.shape[1], np.exp(base) if relative else None)
        logp = logp + np.log(np.maximum(mass, FLOOR))[:, None]
    return forecast_of(logp, known, base, relative=relative)


def by_lists(planner: Planner, sample: Sample) -> list[NDArray[np.float64]]:
    """The forecast (n, N) of a planner that finds all options of its lists alike; none without lists.

    What is on a list is known from counts and content: a planner's merit is what it adds to that.
    """
    if sample.lists is None:
        return []
    options = sample.lists.options
    alike = np.full((len(options), sample.held.known.shape[1]), -np.inf)
    row, column = np.nonzero(options >= 0)
    size = (options >= 0).sum(axis=1)
    alike[row, options[row, column]] = -np.log(size[row])
    return [forecast(planner, sample, alike)]
