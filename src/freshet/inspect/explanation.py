"""One context explained: its prompt, its evidence, its ranked successors, and where they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freshet.core.errors import ConfigError
from freshet.core.prompts import Question, strength
from freshet.core.safe_names import number
from freshet.core.types import Context, ContextEvidence, Interests, PlannerRows, pack_contexts
from freshet.inspect.release_view import Named, Opened, artifact, open_release, prior_of
from freshet.stages import inference
from freshet.stages.prior import ROWS
from freshet.stages.prompts.workspace_wording import wording_for
from freshet.stages.table import Row
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One successor named as evidence: shrunk share, user counts behind it, its word in the prompt."""

    id: int
    description: str
    share: float
    support: float
    word: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ranked successor with its probabilities.

    `planner` is None where the planner did not list it; `prior` is what a planner that was asked beforehand
    says of it after the last interest alone, None where it did not list it or was not asked.
    """

    id: int
    description: str
    planner: float | None
    count: float
    fused: float
    prior: float | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the row comes from.

    Attributes:
        window: first and last day of the log behind it.
        model: version of the model, and `planner` of the planner; empty for plain counts.
        fingerprint: of the prompt, hexadecimal; None where the planner was not asked.
        inferred_for: version of the table for which the planner's answer was inferred.
        inferred_as_of: that table's moment.
    """

    release: int
    as_of: str
    window: tuple[str, str]
    table: str
    model: str
    planner: str
    interests: str
    fingerprint: str | None
    inferred_for: str | None
    inferred_as_of: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything behind one answer.

    Attributes:
        asked: the context asked for; `answered` the one whose row answers.
        fallback: the asked context has no row of its own.
        prompt: what the planner was asked, or None where it wasn't.
        worded: the same with descriptions where the planner reads labels.
        options: the interests that the planner chose among; () = all, or it wasn't asked.
        evidence_after: the context the evidence is about; empty for evidence about everybody.
        planner_fused: the planner's score is part of the fused one.
        unfitted: why no weights could be fitted, so that popularity alone ranks, or what a planner said
            beforehand; '' where they were.
        prior: what a planner that was asked beforehand is worth, in a sentence; '' without one.
    """

    asked: tuple[Named, ...]
    answered: tuple[Named, ...]
    fallback: bool
    prompt: str | None
    worded: str | None
    options: tuple[Named, ...]
    evidence_after: tuple[Named, ...]
    evidence: tuple[EvidenceLine, ...]
    successors: tuple[Candidate, ...]
    planner_fused: bool
    unfitted: str
    prior: str
    provenance: Provenance


def explain(
    ws: Workspace,
    asked: Sequence[str],
    release: int | None = None,
    top: int = 10,
    opened: Opened | None = None,
) -> Explanation:
    """Explain the row that answers a context.

    Args:
        asked: interests by id or description, most recent last; none for a user without interests.
        release: number; the current one by default.
        top: successors shown.
        opened: the release, if it is open already.

    Raises:
        ConfigError: no such interest, more than k of them, or one twice.
    """
    opened = opened or open_release(ws, release)
    context = context_of(opened.interests, asked, opened.table.k)
    row = opened.table.look_up(context)
    planner_rows, place = _planner_row(opened, row.answered)
    evidence = opened.evidence.get(row.answered)
    options = _options(planner_rows, place)
    question = Question.of(row.answered, evidence, options)
    return Explanation(
        opened.names(context),
        opened.names(row.answered),
        row.answered != context,
        _text(ws, opened, question) if place >= 0 else None,
        _text(ws, opened, question, mode="description") if place >= 0 else None,
        opened.names(options),
        opened.names(evidence.after) if evidence else (),
        _lines(opened, evidence),
        _candidates(opened, row, _answered(planner_rows, place), _prior(ws, opened, row.answered), top),
        bool(len(row.planner)) and bool(np.isfinite(row.planner[:1]).all()),
        str(opened.weights().get("unfitted", "")),
        prior_of(opened.weights()),
        _provenance(ws, opened, planner_rows, place),
    )


def context_of(interests: Interests, asked: Sequence[str], k: int) -> Context:
    """A context of at most k interests by their ids or descriptions, most recent last.

    Raises:
        ConfigError: no such interest, more than k of them, or one twice.
    """
    context = tuple(find(interests, name) for name in asked)
    if len(context) > k:
        raise ConfigError(f"a context holds at most {k} interests here, {len(context)} were given")
    if len(set(context)) < len(context):
        raise ConfigError("a context holds distinct interests, one was given twice")
    return context


def find(interests: Interests, name: str) -> int:
    """Index of an interest by its id, its description, or words that only its description holds.

    Raises:
        ConfigError: none or several fit.
    """
    if (wanted_id := number(name.strip())) is not None:
        places = np.flatnonzero(interests.ids == wanted_id)
        if len(places):
            return int(places[0])
    wanted = _words(name)
    described = [_words(description) for description in interests.descriptions]
    if wanted in described:
        return described.index(wanted)
    close = [index for index, words in enumerate(described) if wanted and set(wanted) <= set(words)]
    if len(close) == 1:
        return close[0]
    if close:
        few = ", ".join(f"'{interests.descriptions[index]}'" for index in close[:4])
        raise ConfigError(f"'{name}' fits {len(close)} interests: {few}", hint="give more words, or an id")
    raise ConfigError(f"there is no interest '{name}'", hint="`freshet interests` lists them with their ids")


def _words(text: str) -> list[str]:
    return text.casefold().replace(",", " ").split()


def _planner_row(opened: Opened, context: Context) -> tuple[PlannerRows | None, int]:
    """The planner's rows and the place of this context's, -1 where the planner was not asked."""
    folder = opened.made.path / "planner"
    if not folder.exists():
        return None, -1
    rows = inference.read(folder)
    same = (np.asarray(rows.contexts) == pack_contexts([context], opened.table.k)).all(axis=1)
    return rows, int(same.argmax()) if same.any() else -1


def _options(rows: PlannerRows | None, place: int) -> Context:
    """The short list of a row, best first."""
    if rows is None or rows.lists is None or place < 0:
        return ()
    return tuple(index for index in rows.lists.options[place].tolist() if index >= 0)


def _text(ws: Workspace, opened: Opened, question: Question, **otherwise: str) -> str:
    """The question as the release's model was asked, or with other settings of prompts."""
    model = artifact(ws, "models", opened.release.model)
    settings = {**model.manifest["settings"]["planner"], **otherwise}
    return wording_for(ws, settings, opened.interests, opened.release.interests).prompt(question).text


def _lines(opened: Opened, evidence: ContextEvidence | None) -> tuple[EvidenceLine, ...]:
    return tuple(
        EvidenceLine(
            int(opened.interests.ids[s.interest]),
            opened.interests.descriptions[s.interest],
            s.share,
            s.support,
            strength(s.share),
        )
        for s in (evidence.successors if evidence else ())
    )


def _answered(rows: PlannerRows | None, place: int) -> dict[int, float]:
    """Probabilities in a row of a planner's answers; empty without one."""
    if rows is None or place < 0:
        return {}
    mass = 1.0 if rows.lists is None else float(rows.lists.mass[place])
    listed = zip(rows.successors[place].tolist(), rows.logp[place].tolist(), strict=True)
    return {interest: mass * math.exp(logp) for interest, logp in listed if interest >= 0}


def _prior(ws: Workspace, opened: Opened, context: Context) -> dict[int, float]:
    """What a planner that was asked beforehand says comes after the last interest of a context."""
    version = opened.made.manifest["inputs"].get("prior", "")
    made = ws.store.find("priors", version) if version and context else None
    if made is None:
        return {}
    return _answered(inference.read(made.path / ROWS), context[-1])


def _candidates(
    opened: Opened, row: Row, answered: dict[int, float], prior: dict[int, float], top: int
) -> tuple[Candidate, ...]:
    def planner(position: int, interest: int) -> float | None:
        fused = float(row.planner[position])
        return math.exp(fused) if math.isfinite(fused) else answered.get(interest)

    return tuple(
        Candidate(
            int(opened.interests.ids[interest]),
            opened.interests.descriptions[interest],
            planner(position, interest),
            math.exp(float(row.count[position])),
            math.exp(float(row.fused[position])),
            prior.get(interest),
        )
        for position, interest in enumerate(row.successors[:top].tolist())
    )


def _provenance(ws: Workspace, opened: Opened, rows: PlannerRows | None, place: int) -> Provenance:
    release, manifest = opened.release, opened.made.manifest
    fingerprint = origin = made_as_of = None
    if rows is not None and place >= 0:
        fingerprint = bytes(rows.fingerprints[place]).hex()
        origin = rows.origins[int(rows.origin[place])]
        made = ws.store.find("tables", origin)
        made_as_of = made.manifest["as_of"] if made else None
    first, last = manifest["window"]
    return Provenance(
        release.number,
        release.as_of,
        (first, last),
        release.table,
        release.model,
        manifest["planner"],
        release.interests,
        fingerprint,
        origin,
        made_as_of,
    )
