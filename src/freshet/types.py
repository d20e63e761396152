"""The plain types that stages exchange. Vocabulary: docs/vocabulary.md.

Interests are handled by **index** (0..N-1, the order of `Interests.ids`) inside computations, and by their
stable **id** wherever a person or another release reads them. Arrays of recent interests are right-aligned:
the last column is the most recent, the left is padded with -1, so `recent[:, -k:]` is the context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]
IntArray = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RECENT = 10
"""How many recent distinct interests a transition remembers (the mixture's widest view of a user)."""

Context = tuple[int, ...]
"""Interest indices, most recent last, at most k long; `()` is a user with no recent interest."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point in time at a UTC midnight; steps read only events strictly before it."""

    day: date

    @classmethod
    def parse(cls, text: str) -> AsOf:
        """`2013-06-01` or any ISO time; a time within a day is rounded down, since counts are daily."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        return cls(moment.date())

    @property
    def moment(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    def minus(self, days: int) -> AsOf:
        return AsOf(self.day - timedelta(days=days))

    def __str__(self) -> str:
        return self.day.isoformat()


@dataclass(frozen=True, slots=True)
class Interests:
    """The working level of the interest hierarchy: N clusters of items.

    Attributes:
        ids: (N,) stable ids; they survive a rebuild where the clusters overlap.
        descriptions: N unique keyword descriptions, such as `zombie, horror, survival`.
        vectors: (N, d) unit-length centroid of the text + co-engagement vectors of its items.
    """

    ids: NDArray[np.int32]
    descriptions: tuple[str, ...]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Transitions:
    """Transitions as columns, one row per (user, step, novel successor).

    Attributes:
        user: (n,) 64-bit key of the user.
        day: (n,) days since 1970-01-01 (UTC).
        recent: (n, RECENT) most recent distinct interests within H days before the step, right-aligned.
        successor: (n,) the novel interest taken up.
        known: (n, N) interests engaged within H days before the step; never a valid successor.
    """

    user: NDArray[np.uint64]
    day: NDArray[np.int32]
    recent: NDArray[np.int16]
    successor: NDArray[np.int16]
    known: BoolArray

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.int64] | BoolArray) -> Transitions:
        return Transitions(
            self.user[rows],
            self.day[rows],
            self.recent[rows],
            self.successor[rows],
            self.known[rows],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Transitions]) -> Transitions:
        """All rows of at least one part, in the order given."""
        return cls(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.day for part in parts]),
            np.concatenate([part.recent for part in parts]),
            np.concatenate([part.successor for part in parts]),
            np.concatenate([part.known for part in parts]),
        )

    def with_context(self) -> Transitions:
        """The rows of users with at least one recent interest: what a planner can plan from."""
        return self.take(self.recent[:, -1] >= 0)

    def contexts(self, k: int) -> list[Context]:
        """The context of each row: its last k recent interests, shorter where the user has fewer."""
        return [tuple(int(i) for i in row if i >= 0) for row in self.recent[:, -k:]]


@dataclass(frozen=True, slots=True)
class Sums:
    """Added-up transitions by (context, successor), sorted; all contexts have the same length.

    Attributes:
        contexts: (m, length) interest indices, most recent last.
        successor: (m,)
        weight: (m,) counts, decayed or not.
    """

    contexts: NDArray[np.int16]
    successor: NDArray[np.int16]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Successor:
    """One entry of evidence: an interest people moved on to after a context."""

    interest: int
    share: float
    support: float


@dataclass(frozen=True, slots=True)
class ContextEvidence:
    """What the prompt of one context may say about recent transitions.

    `after` is the context the counts are about: the context itself, a suffix of it when its own support is
    too small, or `()` for global evidence.
    """

    after: Context
    successors: tuple[Successor, ...]


@dataclass(frozen=True, eq=False)
class Evidence(Mapping[Context, ContextEvidence]):
    """What prompts say, for C contexts at once; reads like a mapping from context to `ContextEvidence`.

    Attributes:
        contexts: (C, k) right-aligned, -1 padded, each once.
        after: (C,) how many of a context's last interests the counts are about; 0 = everybody's.
        successors: (C, m) interest indices, best first, -1 padded; each row names at least one.
        shares, supports: (C, m) of each, 0 at -1.
    """

    contexts: NDArray[np.int16]
    after: NDArray[np.int8]
    successors: NDArray[np.int16]
    shares: NDArray[np.float64]
    supports: NDArray[np.float64]

    @classmethod
    def none(cls, k: int) -> Evidence:
        """Nothing to say about any context."""
        rows, width = np.zeros((0, k), np.int16), np.zeros((0, 1))
        return cls(rows, np.zeros(0, np.int8), width.astype(np.int16), width, width)

    def find(self, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
        """(n,) row of each context (n, k), -1 where nothing is said."""
        codes, order = self._index
        place = positions(codes, context_codes(contexts))
        return np.where(place >= 0, order[place] if len(order) else -1, -1)

    def __getitem__(self, context: Context) -> ContextEvidence:
        k = self.contexts.shape[1]
        [row] = self.find(pack_contexts([context], k)) if len(context) <= k else [-1]
        if row < 0:
            raise KeyError(context)
        columns = (self.successors[row], self.shares[row], self.supports[row])
        listed = zip(*(column.tolist() for column in columns), strict=True)
        after = context[len(context) - int(self.after[row]) :]
        return ContextEvidence(after, tuple(Successor(*entry) for entry in listed if entry[0] >= 0))

    def __iter__(self) -> Iterator[Context]:
        return (tuple(i for i in row if i >= 0) for row in self.contexts.tolist())

    def __len__(self) -> int:
        return len(self.contexts)

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes = context_codes(self.contexts)
        order = np.argsort(codes)
        return codes[order], order


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a planner: which interest comes after this context?"""

    context: Context
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost: tokens read and written by the model, and the floating point operations for them."""

    tokens: int = 0
    flops: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.tokens + other.tokens, self.flops + other.flops)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A planner's answer to n prompts.

    Attributes:
        successors: (n, m) interest indices, best first, -1 where fewer than m were found.
        logp: (n, m) natural log of the renormalised probability, non-increasing along a row; -inf at -1.
            The probabilities of a row sum to at most 1; what is missing is the mass outside the top m.
    """

    successors: NDArray[np.int16]
    logp: NDArray[np.float32]
    usage: Usage = Usage()

    def __len__(self) -> int:
        return len(self.successors)


@dataclass(frozen=True, slots=True)
class PlannerRows:
    """Planner answers for many contexts, each under the fingerprint of the prompt that produced it.

    Attributes:
        contexts: (C, k) right-aligned, -1 padded.
        fingerprints: (C, 16) bytes; equal exactly when model, wording, evidence and decoding are equal.
        successors: (C, m) interest indices, best first, -1 padded; all -1 where the prompt failed.
        logp: (C, m) log-probabilities, -inf at -1.
        origin: (C,) index into `origins` of the table for which the row was inferred.
        origins: versions of those tables.
    """

    contexts: NDArray[np.int16]
    fingerprints: NDArray[np.uint8]
    successors: NDArray[np.int16]
    logp: NDArray[np.float32]
    origin: NDArray[np.int32]
    origins: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True, slots=True)
class Example:
    """One fine-tuning sample: a prompt and the interest that came next."""

    prompt: Prompt
    successor: int
    completion: str


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What fine-tuning did: number of examples, passes, losses (nats per completion token), and cost.

    `relative`: the planner's answers are relative to recent popularity (see `ports.Relative`).
    """

    examples: int
    epochs: float
    losses: tuple[float, ...]
    usage: Usage
    base: str
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Interests (by stable id or exact description) and items that may not be recommended, with the reason.

    blocked: never offered. withdrawn: existed, no longer offered. sensitive: offered only to contexts
    that hold a sensitive interest already. allowed: when not empty, nothing else is offered.
    """

    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    sensitive: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights of the fitted log-linear mixture, with 95 % intervals clustered by user.

    score(s) = sum_f weight_f * log p_f(s); a softmax over the candidates the user doesn't know gives the
    probability. `names` are the features in the order of the weights.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    examples: int
    users: int

    def as_dict(self) -> dict[str, dict[str, float]]:
        return {
            name: {"weight": float(w), "low": float(lo), "high": float(hi)}
            for name, w, lo, hi in zip(self.names, self.weights, self.low, self.high, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Fusion:
    """What counts, planner and sequence model are worth beside each other, on held-out transitions.

    Attributes:
        judged: weights with all that there are.
        used: weights of what is significantly above zero, fitted without the rest; None = counts alone.
        margin: (value, low, high) change of nats per transition by the planner on top of all else; negative =
            it helps; 95 % interval clustered by user; None without a planner. Its one weight is fitted on
            the same transitions, which flatters the value by about 0.5 / transitions.
    """

    judged: Mixture
    used: Mixture | None
    margin: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of every interest for n users or contexts, each (n, N), -inf where excluded.

    `planner` and `sequence` are None where there is none (or its weight is not in the mixture); without both
    `fused` equals `count`.
    """

    planner: NDArray[np.float64] | None
    count: NDArray[np.float64]
    fused: NDArray[np.float64]
    sequence: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SequenceWeights:
    """A trained sequence model: V things, width d, L layers of h heads, feed-forward width f, P priors.

    All float32. `freshet.sequence.SequenceModel` says how they are used.

    Attributes:
        embedding: (V, d) of what was seen, and of what may come next.
        position: (R, d) added by place, the last row for the most recent.
        bias: (V,) added to the logits.
        prior: (P,) weights of the log-probabilities known beforehand, added to the logits.
        attention_norm: (L, 2, d) scale and shift before attention.
        attention: (L, 3, d, h, d / h) queries, keys, values.
        attended: (L, d, d) from the heads back to the stream.
        forward_norm: (L, 2, d) scale and shift before the feed-forward part.
        inner, inner_bias: (L, d, f), (L, f).
        outer, outer_bias: (L, f, d), (L, d).
        norm: (2, d) scale and shift before the logits.
    """

    embedding: NDArray[np.float32]
    position: NDArray[np.float32]
    bias: NDArray[np.float32]
    prior: NDArray[np.float32]
    attention_norm: NDArray[np.float32]
    attention: NDArray[np.float32]
    attended: NDArray[np.float32]
    forward_norm: NDArray[np.float32]
    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    outer_bias: NDArray[np.float32]
    norm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Staleness:
    """Transitions judged twice: by the table in use at their time, and by counts of the day before.

    Attributes:
        user: (m,) key of the user.
        day: (m,) days since 1970-01-01.
        age: (m,) age of the table in use, in days.
        stale_hit, fresh_hit: (m,) whether the successor was among the first 5, by each.
        stale_nll, fresh_nll: (m,) nats of the successor, by each.
    """

    user: NDArray[np.uint64]
    day: NDArray[np.int32]
    age: NDArray[np.int32]
    stale_hit: BoolArray
    fresh_hit: BoolArray
    stale_nll: NDArray[np.float64]
    fresh_nll: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.day)

    @classmethod
    def none(cls) -> Staleness:
        """Nothing has been judged."""
        days, hits, nats = np.zeros(0, np.int32), np.zeros(0, bool), np.zeros(0)
        return cls(np.zeros(0, np.uint64), days, days, hits, hits, nats, nats)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a cadence policy sees on a morning; nothing of that day or later.

    Attributes:
        day: the day, in days since 1970-01-01.
        refreshes: days of the refreshes so far, ascending; the last one made the table in use.
        window_days: length of a window on this log: a week on a busy one.
        transitions: those before the day, on both sides of the last refresh, in order of time; of a sample of
            users where they are too many.
        traffic: transitions per day lately, all users counted.
        staleness: what age has cost so far; may be empty.
        cost: what a refresh is expected to cost, in money.
    """

    day: int
    refreshes: tuple[int, ...]
    window_days: int
    transitions: Transitions
    traffic: float
    staleness: Staleness
    cost: float

    @property
    def age(self) -> int:
        """Days since the last refresh."""
        return self.day - self.refreshes[-1]


@dataclass(frozen=True, slots=True)
class CadenceDecision:
    """Whether to refresh: the policy's statistic, the threshold it was held against, and a sentence why."""

    refresh: bool
    statistic: float
    threshold: float
    why: str


@dataclass(slots=True)
class Cost:
    """Measured cost of a step; lives in `runs/` only, never in an artifact."""

    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    peak_mb: float = 0.0


def pack_contexts(contexts: Sequence[Context], k: int) -> NDArray[np.int16]:
    """Contexts as a right-aligned (n, k) array padded with -1."""
    packed = np.full((len(contexts), k), -1, np.int16)
    for row, context in zip(packed, contexts, strict=True):
        if context:
            row[-len(context) :] = context
    return packed


def unpack_contexts(packed: NDArray[np.int16]) -> list[Context]:
    """The contexts of a right-aligned array padded with -1."""
    return [tuple(i for i in row if i >= 0) for row in packed.tolist()]


def context_codes(contexts: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) contexts (n, up to 4) as numbers, different for different contexts, in the contexts' order."""
    codes = np.zeros(len(contexts), np.int64)
    for column in contexts.T.astype(np.int64):
        codes = (codes << 15) + column + 1  # an index lies below 2**15 - 1
    return codes


def positions(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each wanted number stands among ascending values, -1 where it is not there."""
    if not len(values):
        return np.full(wanted.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[place] == wanted, place, -1)
