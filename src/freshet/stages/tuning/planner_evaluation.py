"""A tuned planner evaluated on held-out transitions, gate by gate; `gate_verdict` decides by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.prompts import Question, Wording
from freshet.core.types import Prompt, Transitions, Usage, pack_contexts
from freshet.run_context import RunContext
from freshet.stages import counts, tuning
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.evidence.step import gather
from freshet.stages.inference.announce import announce
from freshet.stages.prompts.step import wording_of
from freshet.stages.tuning.planner_answers import say_cost

FOLDS = 5
"""Parts of the users: a part is judged with the planner's weight that the others give it."""

DIGITS = 4
"""Of a gain in nats; what comes after is rounding, and no gain."""

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
    """

    held: Transitions
    prompts: list[Prompt]
    bare: list[Prompt]
    row: NDArray[np.int64]
    popularity: NDArray[np.float64]
    base: int
    counted: NDArray[np.float64]


def evaluate(ctx: RunContext, planner: Planner) -> tuning.GateReport:
    """Evaluate a planner on a sample of users from every held-out window, with the evidence of its start.

    What may be offered plays no part: blocking an interest is no reason to judge a model anew.

    Where `[evidence] level` is auto, first whether evidence helps; the planner is judged as it will be asked.

    Raises:
        NotEnoughData: nothing that is held out has a context.
    """
    config, mode = ctx.config.gates, ctx.config.planner.mode
    wording = wording_of(ctx)
    words = wording.names
    sample = _sample(ctx, wording)
    held = sample.held
    asked = _asked(ctx, wording, sample)
    say_cost(ctx, planner, asked)
    announce(ctx, [(planner, [asked])])
    answered, usage = tuning.answers(planner, sample.prompts, len(words))
    evidence_gain = None
    if _tries_evidence(ctx, wording):
        bare, more = tuning.answers(planner, sample.bare, len(words))
        usage += more
        with_it, without = (_forecast(planner, sample, one) for one in (answered, bare))
        evidence_gain = of_evidence(with_it, without, sample)
        if not evidence_gain.helps:
            sample, answered = replace(sample, prompts=sample.bare), bare
    spread = np.linspace(0, len(sample.prompts) - 1, min(tuning.FORM, len(sample.prompts))).round()
    probes = [sample.prompts[i] for i in spread.astype(np.int64).tolist()]

    gates: list[tuning.Gate] = []
    failures: list[dict[str, str]] = []
    if mode == "description":
        gate, failures = tuning.exact_match(planner, probes, words, config.exact_match)
        gates.append(gate)
    else:
        gates += tuning.label_gates(planner, probes, words, answered, config.label_mass)

    logp = answered[sample.row]
    popular = [counts.log_softmax(one, held.known) for one in sample.popularity]
    base, relative = popular[sample.base], planner.abilities.relative
    first = np.where(held.known, -np.inf, logp + base if relative else logp)
    prompts = [sample.prompts[i] for i in sample.row.tolist()]
    gate, missed = tuning.recall_gate(first, held, prompts, words, config.recall)
    gates.append(gate)
    failures += missed

    forecast = _forecast(planner, sample, answered)
    gain, reason = over_popularity(forecast, sample)
    gates.append(tuning.gain_gate("popularity", gain, reason=reason))
    gain, reason = beside_counts(forecast, sample)
    gates.append(tuning.gain_gate("counts", gain, config.gain_over_counts, reason))
    best = max(popular, key=lambda one: float(_own(one, held).sum()))
    shown = {"planner": first, "popularity": best, "counts": sample.counted}
    return tuning.GateReport(
        tuple(gates),
        {name: tuning.recall(scores, held) for name, scores in shown.items()},
        len(held),
        len(np.unique(held.user)),
        tuple(failures),
        evidence_gain,
        usage,
    )


def cost(ctx: RunContext, planner: Planner) -> Usage:
    """What judging a planner should cost, for the plan that is shown before a run."""
    wording = wording_of(ctx)
    return planner.size(_asked(ctx, wording, _sample(ctx, wording)))


def _tries_evidence(ctx: RunContext, wording: Wording) -> bool:
    """Whether the planner is asked with and without evidence, to learn what that is worth."""
    return ctx.config.evidence.level == "auto" and wording.reads_evidence


def _asked(ctx: RunContext, wording: Wording, sample: Sample) -> list[Prompt]:
    """All prompts that judging asks, each once."""
    return [*sample.prompts, *(sample.bare if _tries_evidence(ctx, wording) else [])]


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


def _sample(ctx: RunContext, wording: Wording) -> Sample:
    fitter, windows = ctx.fitter, ctx.fitter.holdout.windows
    share = max(1, ctx.config.gates.sample // max(len(windows), 1))
    held: list[Transitions] = []
    prompts: list[Prompt] = []
    bare: list[Prompt] = []
    row: list[NDArray[np.int64]] = []
    popular: list[NDArray[np.float64]] = []
    counted: list[NDArray[np.float64]] = []
    for number, window in enumerate(windows):
        sample = _users_of(window, share)
        contexts = sample.contexts(fitter.k)
        distinct = sorted(set(contexts))
        then = gather(ctx, window.start, pack_contexts(distinct, fitter.k))
        place = {context: len(prompts) + i for i, context in enumerate(distinct)}
        prompts += [wording.prompt(Question.of(c, then.get(c))) for c in distinct]
        bare += [wording.prompt(Question.of(c)) for c in distinct]
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
    )


def _users_of(window: Window, share: int) -> Transitions:
    rows = window.held.with_context()
    taken: Transitions = rows.take(np.sort(np.argsort(rows.user, kind="stable")[:share]))
    return taken


def _features(held: Transitions, *logp: NDArray[np.float64]) -> counts.Held:
    """Held-out transitions with scores (n, N) as features."""
    features = np.where(held.known[:, None, :], 0.0, np.stack(logp, axis=1))
    return counts.Held(features.astype(np.float32), held.known, held.successor, held.user)


def _own(logp: NDArray[np.float64], held: Transitions) -> NDArray[np.float64]:
    """(n,) log-probability of what came next."""
    return np.asarray(logp[np.arange(len(held)), held.successor])


def _gain(change: NDArray[np.float64], held: Transitions) -> tuple[float, float, float]:
    return counts.mean_by_user(change.round(DIGITS), held.user)


def of_evidence(with_it: NDArray[np.float64], bare: NDArray[np.float64], sample: Sample) -> tuning.Evidence:
    """What evidence in the prompt gains, beside the counts and for the planner alone.

    Args:
        with_it, bare: (n, N) the planner's forecast from prompts with evidence, and from those without.
    """
    held, counted = sample.held, sample.counted
    alone = _gain(_own(with_it, held) - _own(bare, held), held)
    found = [_cross_fitted(_features(held, counted, one), 0) for one in (with_it, bare)]
    fused = _gain(found[0] - found[1], held) if found[0] is not None and found[1] is not None else None
    return tuning.Evidence(alone, fused)


def over_popularity(
    forecast: NDArray[np.float64], sample: Sample
) -> tuple[tuple[float, float, float] | None, str]:
    """What the planner's forecast (n, N) adds to popularity, and why that can't be measured where it is None.

    Popularity is at its best: all half-lives, each with its weight. A planner that only repeats or sharpens
    it adds nothing.
    """
    return _added(sample, [*sample.popularity], forecast, smooth=len(sample.popularity))


def beside_counts(
    forecast: NDArray[np.float64], sample: Sample
) -> tuple[tuple[float, float, float] | None, str]:
    """What the planner's forecast (n, N) adds to counts, and why it can't be measured where it is None."""
    return _added(sample, [sample.counted], forecast, smooth=0)


def _added(
    sample: Sample, rest: Sequence[NDArray[np.float64]], forecast: NDArray[np.float64], smooth: int
) -> tuple[tuple[float, float, float] | None, str]:
    """What a forecast adds to other scores in a mixture."""
    held = sample.held
    both = _cross_fitted(_features(held, *rest, forecast), smooth)
    alone = _cross_fitted(_features(held, *rest), smooth)
    if both is None or alone is None:
        return None, "too few transitions are held out to weigh it"
    return _gain(both - alone, held), ""


def _cross_fitted(held: counts.Held, smooth: int) -> NDArray[np.float64] | None:
    """(n,) log-probability of what came next by a mixture whose weights other users' transitions gave."""
    names = [str(number) for number in range(held.features.shape[1])]
    part = np.unique(held.user, return_inverse=True)[1] % FOLDS
    found = np.zeros(len(part))
    try:
        for fold in np.unique(part).tolist():
            in_fold = part == fold
            weights = counts.fit(names, [held.take(~in_fold)], smooth=smooth).weights
            found[in_fold] = counts.log_likelihood(held.take(in_fold), weights)
    except NotEnoughData:
        return None
    return found


def _forecast(planner: Planner, sample: Sample, answered: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, N) of the sample, by a planner's answers to its prompts."""
    base = counts.log_softmax(sample.popularity[sample.base], sample.held.known)
    return forecast_of(answered[sample.row], sample.held.known, base, relative=planner.abilities.relative)
