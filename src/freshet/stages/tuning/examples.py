"""Fine-tuning samples: [(context), next interest], balanced over labels, worded with evidence of their time.

Earlier systems tune on a few thousand pairs, about ten distinct contexts per label (arXiv 2405.16363). A
planner that will read evidence must be tuned with evidence, and only with what was known before each sample:
otherwise the evidence contains the answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.prompts import Question, Wording
from freshet.core.types import Context, ContextEvidence, Example, Transitions

EvidenceBefore = Callable[[int, Sequence[Context]], Mapping[Context, ContextEvidence]]
"""(window start as days since 1970, contexts) -> evidence counted before that day."""
OptionsBefore = Callable[[int, Sequence[Context]], Mapping[Context, Sequence[int]]]
"""(window start as days since 1970, contexts) -> the short list of each by what was known before that day."""


LONG_SHARE = 0.5
"""Share of the samples with a user's longer history, where the planner is asked about users too."""


def balanced(transitions: Transitions, k: int, per_label: int) -> NDArray[np.int64]:
    """Rows to tune on: for every successor at most `per_label` distinct contexts, the latest ones.

    0 keeps every row. Rows come back in order of time.
    """
    if per_label == 0:
        return np.arange(len(transitions))
    contexts = transitions.contexts(k)
    seen: dict[int, set[Context]] = defaultdict(set)
    kept = []
    for row in range(len(transitions) - 1, -1, -1):
        label = int(transitions.successor[row])
        if len(seen[label]) < per_label and contexts[row] not in seen[label]:
            seen[label].add(contexts[row])
            kept.append(row)
    return np.array(kept[::-1], np.int64)


def make_examples(
    transitions: Transitions,
    wording: Wording,
    evidence_before: EvidenceBefore,
    *,
    k: int,
    window_days: int,
    evidence_share: float,
    seed: int,
    options_before: OptionsBefore | None = None,
    longest: int = 0,
) -> list[Example]:
    """Word the samples.

    Args:
        transitions: rows to tune on, ordered by day.
        wording: what the planner reads and writes.
        evidence_before: evidence as it was at the start of a sample's window.
        window_days: length of the windows (their starts are multiples of it since 1970).
        evidence_share: share of the samples whose prompt carries evidence; the others teach the planner to
            answer without.
        seed: of the choice which do.
        options_before: what a planner that reads lists chooses among; None = all interests.
        longest: a planner that is also asked about users with so many interests reads contexts of all
            lengths from k to this one; 0 = it isn't.
    """
    contexts = transitions.contexts(k)
    random = np.random.default_rng(seed)
    with_evidence = random.random(len(transitions)) < evidence_share
    whole = _of_mixed_lengths(transitions, k, longest, seed) if longest > k else contexts
    starts = transitions.day // window_days * window_days
    examples: list[Example] = []
    for start in np.unique(starts).tolist():
        rows = np.flatnonzero(starts == start).tolist()
        wanted = sorted({contexts[row] for row in rows if with_evidence[row]})
        known = evidence_before(int(start), wanted) if wanted else {}
        among = options_before(int(start), sorted({contexts[row] for row in rows})) if options_before else {}
        for row in rows:
            context = contexts[row]
            evidence = _part(known.get(context), random) if with_evidence[row] else None
            successor = int(transitions.successor[row])
            prompt = wording.prompt(Question.of(whole[row], evidence, among.get(context, ())))
            examples.append(Example(prompt, successor, wording.names[successor]))
    return examples


def _of_mixed_lengths(transitions: Transitions, k: int, longest: int, seed: int) -> list[Context]:
    """Contexts of the last k interests for some of the rows, of up to `longest` for the others."""
    more = np.random.default_rng([seed, 1]).random(len(transitions)) < LONG_SHARE
    pairs, histories = transitions.contexts(k), transitions.contexts(longest)
    return [histories[row] if more[row] else pairs[row] for row in range(len(transitions))]


def _part(evidence: ContextEvidence | None, random: np.random.Generator) -> ContextEvidence | None:
    """A random part of the evidence, in order.

    A log has few windows, and their whole evidence identifies them: a planner would learn by heart what
    followed in each. From parts it learns what it means to be named.
    """
    if evidence is None:
        return None
    size = int(random.integers(1, len(evidence.successors) + 1))
    kept = np.sort(random.permutation(len(evidence.successors))[:size])
    return ContextEvidence(evidence.after, tuple(evidence.successors[i] for i in kept.tolist()))
