"""Answers as plain values for JSON, written out: generic ways of taking dataclasses apart cost more."""

from __future__ import annotations

from typing import Any

from freshet.core.types.serving import Answer, Offer


def answer_document(answer: Answer) -> dict[str, Any]:
    """What `schemas.Answer` describes."""
    return {
        "id": answer.id,
        "release": answer.release,
        "context": answer.context,
        "context_ids": answer.context_ids,
        "answered": answer.answered,
        "explored": answer.explored,
        "degraded": answer.degraded,
        "experiment": answer.experiment,
        "arm": answer.arm,
        "interests": [_offer(offer) for offer in answer.interests],
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "description": offer.description,
        "score": offer.score,
        "propensity": offer.propensity,
        "reason": offer.reason,
        "items": [
            {"id": item.id, "title": item.title, "score": item.score, "reason": item.reason}
            for item in offer.items
        ],
        "explanation": offer.explanation,
    }
