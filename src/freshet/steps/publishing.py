"""Step: planner rows + counts -> table -> checks -> release."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet import counts, evidence, inference, table
from freshet.durable import read_json, write_json
from freshet.errors import VerificationError
from freshet.ports import Artifact, Planner
from freshet.steps import prompting
from freshet.steps.counting import Counting
from freshet.steps.knowledge import Knowledge
from freshet.steps.sources import committed
from freshet.types import Context, Eligibility, Mixture, PlannerRows
from freshet.workspace import Release, Run, Workspace, version_of

CODE = 2


@dataclass(frozen=True)
class Previous:
    """The table before this one: its evidence steadies prompts, its rows are copied where they hold."""

    artifact: Artifact
    said: dict[Context, Any]
    rows: PlannerRows | None


def rules_of(ws: Workspace, known: Knowledge) -> table.Rules:
    """Eligibility rules of the configuration, resolved."""
    config = ws.config.table
    return table.Rules.resolve(
        Eligibility(
            frozenset(config.blocked),
            frozenset(config.allowed),
            frozenset(config.withdrawn),
            frozenset(config.sensitive),
        ),
        known.interests,
    )


def previous_table(ws: Workspace, known: Knowledge) -> Previous | None:
    """The newest table of an earlier as_of with the same interests and context length."""
    found = [
        artifact
        for version in ws.store.versions("tables")
        if (artifact := ws.store.find("tables", version)) is not None
        and artifact.manifest["as_of"] < str(known.as_of)
        and artifact.manifest["inputs"]["interests"] == known.interests_version
        and artifact.manifest["k"] == ws.config.transitions.k
    ]
    if not found:
        return None
    newest = max(found, key=lambda artifact: (artifact.manifest["as_of"], artifact.version))
    rows = None
    if (newest.path / "planner").exists():
        parts = [inference.read(newest.path / name) for name in ("planner", "calibration")]
        if parts[0].successors.shape[1] == min(ws.config.inference.top, len(known.interests)):
            rows = prompting.joined(parts)
    return Previous(newest, evidence.read(newest.path / "evidence.parquet"), rows)


def make_table(
    ws: Workspace,
    run: Run,
    known: Knowledge,
    counting: Counting,
    open_planner: Callable[[], Planner] | None,
    model: str,
) -> Artifact:
    """The table of one moment, as an artifact; nothing is inferred that the previous table answers.

    Args:
        open_planner: loads the planner; not called where the table exists. None = plain counts.
        model: version of the planner's model.
    """
    previous = previous_table(ws, known)
    rules = rules_of(ws, known)
    key = version_of(
        code=CODE,
        as_of=known.as_of,
        transitions=known.version,
        interests=known.interests_version,
        model=model,
        previous=previous.artifact.version if previous else "",
        config={
            name: getattr(ws.config, name).model_dump(exclude={"chunk", "max_churn"})
            for name in ("transitions", "counts", "evidence", "inference", "table")
        },
    )
    found = ws.store.find("tables", key)
    if found is not None:
        with run.step("table") as step:
            step.artifact, step.cached = f"tables/{key}", True
        run.say("table: nothing changed since it was made, 0 rows to infer")
        return found
    planner = open_planner() if open_planner else None
    packed = _contexts(ws, known, counting)
    asked = _asked(ws, counting, packed)
    withheld = rules.withheld()
    with run.step("evidence") as step:
        steady = previous.said if previous else {}
        said = prompting.gather(ws, known, counting, known.as_of, asked, steady, withheld)
        step.details = {"contexts": len(asked), "with_evidence": len(said)}
    inferred = calibrated = None
    mixture: Mixture | None = None
    if planner is not None:
        stored = previous.rows if previous else None
        inferred = prompting.ask(ws, run, known, planner, asked, said, stored, origin=key, name="inference")
        held, calibrated = prompting.calibration(
            ws, run, known, counting, planner, _with(stored, inferred.rows), withheld, key
        )
        with run.step("mixture"):
            mixture = counting.with_planner(held)
    with run.step("table") as step, ws.store.create("tables", key) as draft:
        step.artifact = f"tables/{key}"
        useful = mixture is not None and mixture.low[-1] > 0  # else counts win here, and rank alone
        scores = counts.PlannerScores(inferred.rows, len(known.interests)) if inferred is not None else None
        scorer = counting.scorer(scores, mixture if useful else None)
        table.build(packed, scorer, rules, ws.config.table.width, draft.path, run.progress("table"))
        counts.write(scorer.model, draft.path / "counts")
        evidence.write(said, draft.path / "evidence.parquet")
        if inferred is not None and calibrated is not None:
            inference.write(inferred.rows, draft.path / "planner")
            inference.write(calibrated, draft.path / "calibration")
        weights = _weights(counting, mixture)
        write_json(draft.path / "mixture.json", weights)
        draft.manifest = {
            "as_of": str(known.as_of),
            "k": counting.k,
            "rows": len(packed),
            "window": list(known.window),
            "inputs": {
                "transitions": known.version,
                "interests": known.interests_version,
                "model": model,
                "previous": previous.artifact.version if previous else "",
            },
            "planner": planner.version if planner else "",
        }
        step.details = {"rows": len(packed), "drives": weights}
    shutil.rmtree(ws.root / "work", ignore_errors=True)  # chunks of inference: the table holds them now
    return committed(ws, "tables", key)


def open_scorer(made: Artifact, interests: int) -> counts.Scorer:
    """The per-user mixture of a table: the same scores that ranked its rows."""
    stored = read_json(made.path / "mixture.json")
    model = counts.read(made.path / "counts")
    by_length = np.array(
        [[fitted[name]["weight"] for name in stored["features"]] for fitted in stored["by_length"]]
    )
    if stored["fused"] is None:
        return counts.Scorer(model, by_length)
    planner = counts.PlannerScores(inference.read(made.path / "planner"), interests)
    weights = np.array([stored["fused"][name]["weight"] for name in (counts.COUNTS, counts.PLANNER)])
    return counts.Scorer(model, by_length, planner, weights)


def check(ws: Workspace, run: Run, known: Knowledge, counting: Counting, made: Artifact) -> None:
    """Verify a table before it may be published.

    Raises:
        VerificationError: it breaks a rule; this is a bug or a damaged file, and it is not published.
    """
    with run.step("verify") as step:
        fresh = table.Table(made.path, len(known.interests))
        checks = table.verify(fresh, _contexts(ws, known, counting), rules_of(ws, known))
        step.details = {"checks": {c.name: c.passed for c in checks}}
        failed = [c for c in checks if not c.passed]
        if failed:
            raise VerificationError(
                f"table {made.version} is not fit to be published: "
                + "; ".join(f"{c.name}: {c.seen}" for c in failed),
                hint="the current release keeps serving; please report this with the run's ledger entry",
            )


def publish(ws: Workspace, run: Run, made: Artifact) -> Release:
    """Make a table the current release; a table that is current already stays it."""
    current = ws.releases.current()
    if current is not None and current.table == made.version:
        run.record.release = current.number
        return current
    inputs = made.manifest["inputs"]
    with run.fenced():
        release = ws.releases.publish(
            made.manifest["as_of"], made.version, inputs["model"], inputs["interests"], run.record.id
        )
    run.record.release = release.number
    run.say(f"release {release.number} is current")
    return release


def _contexts(ws: Workspace, known: Knowledge, counting: Counting) -> NDArray[np.int16]:
    k = ws.config.transitions.k
    triples = counting.sums(known.as_of)[1][2].contexts if k == 3 else None
    return table.enumerate_contexts(len(known.interests), k, triples)


def _asked(ws: Workspace, counting: Counting, packed: NDArray[np.int16]) -> list[Context]:
    """Contexts the planner is asked about; the others are answered by counts.

    The empty context is one of those: it holds no interest to plan from.
    """
    contexts = [context for row in packed.tolist() if (context := tuple(i for i in row if i >= 0))]
    if ws.config.inference.contexts == "all":
        return contexts
    seen = set(counting.observed())
    return [context for context in contexts if context in seen]


def _with(stored: PlannerRows | None, rows: PlannerRows) -> PlannerRows:
    return rows if stored is None else prompting.joined([stored, rows])


def _weights(counting: Counting, mixture: Mixture | None) -> dict[str, Any]:
    """What drives the log: fitted weights with intervals.

    `counts` are those of users with several recent interests, `by_length` those of users with none, one,
    several; `fused` weighs the count score against the planner's, null where counts win.
    """
    planner = None if mixture is None else mixture.as_dict()[counts.PLANNER]
    return {
        "features": list(counting.names),
        "counts": counting.mixtures[-1].as_dict(),
        "by_length": [mixture.as_dict() for mixture in counting.mixtures],
        "fused": None if mixture is None or mixture.low[-1] <= 0 else mixture.as_dict(),
        "planner": planner,
        "planner_held_out": [mixture.examples, mixture.users] if mixture else None,
        "counts_win": planner is None or planner["low"] <= 0,
        "strengths": list(counting.strengths),
        "held_out": counting.mixtures[0].examples,
        "held_out_users": counting.mixtures[0].users,
        "scales": counting.known.scales.as_dict(),
    }
