"""A tuned planner evaluated on held-out transitions, gate by gate; `gate_verdict` decides by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.prompts import Wording
from freshet.core.types import Prompt, ShortLists, Transitions, Usage
from freshet.run_context import RunContext
from freshet.stages import counts, tuning
from freshet.stages.inference.announce import announce
from freshet.stages.prompts.step import need_options
from freshet.stages.prompts.workspace_wording import wording_of
from freshet.stages.tuning.planner_answers import say_cost
from freshet.stages.tuning.planner_sample import Sample, by_lists, forecast, sample_of

FOLDS = 5
"""Parts of the users: a part is judged with the planner's weight that the others give it."""

DIGITS = 4
"""Of a gain in nats; what comes after is rounding, and no gain."""


def evaluate(ctx: RunContext, planner: Planner) -> tuning.GateReport:
    """Evaluate a planner on a sample of users from every held-out window, with the evidence of its start.

    What may be offered plays no part: blocking an interest is no reason to judge a model anew.

    Where `[evidence] level` is auto, first whether evidence helps; the planner is judged as it will be asked.

    Raises:
        NotEnoughData: nothing that is held out has a context.
    """
    config, mode = ctx.config.gates, ctx.config.planner.mode
    need_options(ctx, planner)
    wording = wording_of(ctx)
    words = wording.names
    sample = sample_of(ctx, wording)
    held = sample.held
    asked = _asked(ctx, wording, sample)
    say_cost(ctx, planner, asked)
    announce(ctx, [(planner, [asked])])
    answered, usage = tuning.answers(planner, sample.prompts, len(words))
    evidence_gain = None
    if _tries_evidence(ctx, wording):
        bare, more = tuning.answers(planner, sample.bare, len(words))
        usage += more
        with_it, without = (forecast(planner, sample, one) for one in (answered, bare))
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
        reached = answered if sample.lists is None else _with_unlisted(answered, sample.lists)
        gates += tuning.label_gates(planner, probes, words, reached, config.label_mass)

    logp = answered[sample.row]
    popular = [counts.log_softmax(one, held.known) for one in sample.popularity]
    base, relative = popular[sample.base], planner.abilities.relative
    first = np.where(held.known, -np.inf, logp + base if relative else logp)
    prompts = [sample.prompts[i] for i in sample.row.tolist()]
    gate, missed = tuning.recall_gate(first, held, prompts, words, config.recall)
    gates.append(gate)
    failures += missed

    told, listed = forecast(planner, sample, answered), by_lists(planner, sample)
    gain, reason = over_popularity(told, sample, listed)
    gates.append(tuning.gain_gate("popularity", gain, reason=reason))
    gain, reason = beside_counts(told, sample, listed)
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
    return planner.size(_asked(ctx, wording, sample_of(ctx, wording)))


def _with_unlisted(answered: NDArray[np.float64], lists: ShortLists) -> NDArray[np.float64]:
    """Answers (P, N) in which interests that are on no list count as answered: nobody asked for them."""
    offered = np.isin(np.arange(answered.shape[1]), lists.options)
    return np.where(offered, answered, 0.0)


def _tries_evidence(ctx: RunContext, wording: Wording) -> bool:
    """Whether the planner is asked with and without evidence, to learn what that is worth."""
    return ctx.config.evidence.level == "auto" and wording.reads_evidence


def _asked(ctx: RunContext, wording: Wording, sample: Sample) -> list[Prompt]:
    """All prompts that judging asks, each once."""
    return [*sample.prompts, *(sample.bare if _tries_evidence(ctx, wording) else [])]


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
    forecast: NDArray[np.float64], sample: Sample, listed: Sequence[NDArray[np.float64]] = ()
) -> tuple[tuple[float, float, float] | None, str]:
    """What the planner's forecast (n, N) adds to popularity, and why that can't be measured where it is None.

    Popularity is at its best: all half-lives, each with its weight. A planner that only repeats or sharpens
    it adds nothing, and neither does one that only repeats what its lists say (`by_lists`).
    """
    return _added(sample, [*sample.popularity, *listed], forecast, smooth=len(sample.popularity))


def beside_counts(
    forecast: NDArray[np.float64], sample: Sample, listed: Sequence[NDArray[np.float64]] = ()
) -> tuple[tuple[float, float, float] | None, str]:
    """What the planner's forecast (n, N) adds to counts, and why it can't be measured where it is None."""
    return _added(sample, [sample.counted, *listed], forecast, smooth=0)


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
