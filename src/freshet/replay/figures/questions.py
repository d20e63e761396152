"""The questions a replay answers, each by the difference of two arms, and the sentence for every outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from freshet.replay.figures.comparisons import Verdict
from freshet.replay.figures.intervals import nats, points
from freshet.replay.replay_arms import without_planner


@dataclass(frozen=True, slots=True)
class Question:
    """A question that arm `a` minus arm `b` answers; `answers` has a sentence for every verdict on hit@5.

    `{planner}` in words stands for what the planner is called, `{Planner}` at the beginning of a sentence.
    """

    name: str
    text: str
    a: str
    b: str
    answers: Mapping[Verdict, str]


_COUNTS = Question(
    "planner",
    "Does {planner} beat plain counts?",
    "hybrid",
    "counts",
    {
        "better": "{Planner} beats plain counts",
        "same": "Counts win here: {planner} adds nothing that matters",
        "unclear": "Counts win here: no gain by {planner} can be shown",
        "worse": "Counts win here: {planner} makes the ranking worse",
    },
)


def _beside(words: str, name: str, a: str, b: str) -> Question:
    """What the planner adds to a mixture that holds more than counts."""
    return Question(
        name,
        f"Does {{planner}} add to counts with {words}?",
        a,
        b,
        {
            "better": f"With {words} in the mixture {{planner}} still adds to it",
            "same": f"With {words} in the mixture {{planner}} adds nothing that matters",
            "unclear": f"With {words} in the mixture no gain by {{planner}} can be shown",
            "worse": f"With {words} in the mixture {{planner}} makes the ranking worse",
        },
    )


def _adds(name: str, called: str, a: str, b: str, to: str) -> Question:
    """What a source of knowledge adds to a mixture without a planner."""
    return Question(
        name,
        f"Does {called} add to {to}?",
        a,
        b,
        {
            "better": f"{called[0].upper()}{called[1:]} pays on top of {to}",
            "same": f"{called[0].upper()}{called[1:]} makes no difference that matters to {to}",
            "unclear": f"Whether {called} adds to {to} can't be told",
            "worse": f"{called[0].upper()}{called[1:]} hurts on top of {to} here",
        },
    )


_KNOWLEDGE = (
    _adds("content", "content", "content", "counts", "plain counts"),
    _adds("sequence score", "a sequence score", "counts-sequence", "counts", "plain counts"),
    _adds(
        "content beside a sequence model",
        "content",
        "content-sequence",
        "counts-sequence",
        "counts with a sequence score",
    ),
)
_PATHS = (
    Question(
        "refreshing",
        "Is refreshing worth it?",
        "hybrid",
        "static",
        {
            "better": "Refreshing is worth it",
            "same": "Refreshing makes no difference that matters",
            "unclear": "Whether refreshing helps can't be told from this log",
            "worse": "Refreshing hurts here",
        },
    ),
    Question(
        "refreshing counts",
        "Is refreshing counts alone worth it?",
        "counts",
        "static",
        {
            "better": "Refreshing counts alone beats the first day's table",
            "same": "Refreshing counts alone is as good as the first day's table",
            "unclear": "Whether refreshing counts alone beats the first day's table can't be told",
            "worse": "Refreshed counts alone are worse than the first day's table",
        },
    ),
    Question(
        "fast path",
        "Does refreshing between tunings pay?",
        "hybrid",
        "finetune",
        {
            "better": "The fast path pays: refreshing between tunings helps",
            "same": "Refreshing between tunings makes no difference that matters",
            "unclear": "Whether refreshing between tunings helps can't be told",
            "worse": "Refreshing between tunings hurts here",
        },
    ),
    Question(
        "slow path",
        "Does tuning again pay?",
        "finetune-fresh",
        "no-evidence",
        {
            "better": "The slow path pays: tuning again helps",
            "same": "Tuning again makes no difference that matters: one tuning is enough for such a period",
            "unclear": "Whether tuning again helps can't be told",
            "worse": "Tuning again hurts here",
        },
    ),
)
_EVIDENCE = (
    Question(
        "evidence",
        "Does evidence in the prompts pay?",
        "retrieval",
        "no-evidence",
        {
            "better": "Evidence in the prompts pays",
            "same": "Evidence in the prompts makes no difference that matters",
            "unclear": "Whether evidence in the prompts helps can't be told",
            "worse": "Evidence in the prompts hurts here",
        },
    ),
    Question(
        "fresh evidence",
        "Is evidence worth refreshing?",
        "retrieval",
        "evidence-frozen",
        {
            "better": "Refreshed evidence beats that of the first day",
            "same": "Evidence of the first day is as good as refreshed evidence",
            "unclear": "Whether refreshed evidence beats that of the first day can't be told",
            "worse": "Refreshed evidence is worse than that of the first day",
        },
    ),
    Question(
        "evidence, planner alone",
        "Does evidence improve what {planner} says by itself?",
        "retrieval-alone",
        "no-evidence-alone",
        {
            "better": "By itself {planner} is better with evidence",
            "same": "By itself {planner} is as good without evidence",
            "unclear": "Whether {planner} by itself is better with evidence can't be told",
            "worse": "By itself {planner} is worse with evidence",
        },
    ),
)


def _live(name: str, text: str, arm: str) -> Question:
    """What the overlay adds to an arm."""
    return Question(
        name,
        text,
        f"{arm}-live",
        arm,
        {
            "better": f"Live signals pay: what people take up now improves {arm}",
            "same": f"Live signals make no difference that matters to {arm}",
            "unclear": f"Whether live signals improve {arm} can't be told",
            "worse": f"Live signals hurt {arm} here",
        },
    )


_BESIDES = (
    Question(
        "sequence model",
        "Does the hybrid beat a sequence model?",
        "hybrid",
        "sequence",
        {
            "better": "The hybrid beats a sequence model",
            "same": "The hybrid and a sequence model are equally good",
            "unclear": "The hybrid and a sequence model can't be told apart",
            "worse": "A sequence model beats the hybrid",
        },
    ),
    Question(
        "adaptive cadence",
        "Does the adaptive cadence keep up?",
        "hybrid-adaptive",
        "hybrid",
        {
            "better": "Refreshing when drift is found beats a fixed cadence",
            "same": "Refreshing only when drift is found loses nothing that matters",
            "unclear": "Whether refreshing only when drift is found keeps up can't be told",
            "worse": "Refreshing only when drift is found loses hit rate",
        },
    ),
    _live("live signals", "Do live signals pay?", "hybrid"),
    _live("live signals without the planner", "Do live signals pay on top of plain counts?", "counts"),
)


CALLED = {
    "counts": "plain counts",
    "counts-sequence": "counts with the sequence score",
    "content": "counts with content",
    "content-sequence": "counts with content and the sequence score",
}
"""Arms without a planner, as sentences call them."""


def lacking_planner(log: Mapping[str, Any]) -> tuple[str, str]:
    """The arm from which `hybrid` differs by the planner's score alone, and what it is called.

    Args:
        log: of a replay's document: `mixed` and `content` say what the workspace's own mixture holds.
    """
    arm = without_planner(bool(log.get("mixed")), bool(log.get("content")))
    return arm, CALLED[arm]


def questions(log: Mapping[str, Any]) -> tuple[Question, ...]:
    """All questions; what the planner adds is a comparison of arms that differ by its score alone.

    Args:
        log: of a replay's document; see `lacking_planner`.
    """
    mixed, content = bool(log.get("mixed")), bool(log.get("content"))
    plain, sequence = ("hybrid-plain", "hybrid") if mixed else ("hybrid", "hybrid-sequence")
    apart, both = "planner", "planner beside a sequence model"
    if content:
        worth = (
            _beside("content", apart, plain, "content"),
            _beside("content and the sequence score", both, sequence, "content-sequence"),
        )
    else:
        worth = (
            replace(_COUNTS, a=plain),
            _beside("the sequence score", both, sequence, "counts-sequence"),
        )
    return *_PATHS, *_EVIDENCE, *worth, *_KNOWLEDGE, *_BESIDES


def answer(question: Question, difference: Mapping[str, Any], planner: str) -> dict[str, Any]:
    """`{name, question, answer, verdict, difference}`: the verdict on hit@5, figures in the answer.

    Args:
        planner: what the planner is called, as `the small label transformer`.
    """
    verdict = difference["verdict"]["hit_at_5"]
    names = {"planner": planner, "Planner": planner[:1].upper() + planner[1:]}
    sentence = question.answers[verdict].format(**names)
    figures = (
        f"hit@5 of {question.a} minus {question.b}: {points(difference['hit_at_5'])}; "
        f"nll {nats(difference['nll'])}"
    )
    return {
        "name": question.name,
        "question": question.text.format(**names),
        "answer": f"{sentence}{_but(verdict, difference['verdict']['nll'])} ({figures}).",
        "verdict": verdict,
        "difference": f"{question.a}_vs_{question.b}",
    }


def _but(hit: str, nll: str) -> str:
    """Where probabilities and hits disagree, both are mentioned."""
    if nll == "better" and hit != "better":
        return ", though its probabilities are better"
    if nll == "worse" and hit == "better":
        return ", though its probabilities are worse"
    return ""
