"""Section: how to read the page, and where its figures come from."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.report.subject import Subject

WORDS = (
    ("interest", "a cluster of items, with a stable id and a unique description made of keywords"),
    ("context", "a person's most recent distinct interests, in order"),
    ("successor", "the next interest that is novel to the person"),
    ("transition", "a context and the successor taken up after it, counted once per person and day"),
    ("evidence", "what recent transitions say about a context; it is put into the planner's prompt"),
    (
        "planner",
        "ranks successors beside plain counts: a small transformer, or a fine-tuned language model",
    ),
    ("fused score", "planner and count scores combined by weights fitted on held-out transitions"),
    ("table", "for every context, the ranked successors; a release is a published table"),
    ("churn", "share of the top-5 successors that a refresh replaced"),
    ("floor", "the churn that chance alone makes: two tables from resamples of the same people"),
)


@dataclass(frozen=True, slots=True)
class Origins:
    """`versions`: what each artifact is called in the store; `settings`: what shaped the figures."""

    words: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    libraries: tuple[tuple[str, str], ...]


def gather(subject: Subject) -> Origins:
    """Where the figures come from."""
    config = subject.ws.config
    settings = (
        ("positive rule", config.events.positive or "every event is an engagement"),
        ("novel means", _novel(config.transitions.novelty_days)),
        ("context length", str(config.transitions.k)),
        ("evidence", f"{config.evidence.level}, by {config.evidence.rank_by}"),
        (
            "price book",
            f"{config.prices.per_hour} per hour, {config.prices.per_million_tokens} per million "
            f"tokens, in {config.prices.currency}",
        ),
    )
    libraries = subject.records[-1].libraries if subject.records else {}
    return Origins(WORDS, tuple(_versions(subject)), settings, tuple(libraries.items()))


def _novel(days: int | str) -> str:
    return "never engaged before" if days == "ever" else f"not engaged within the last {days} days"


def _versions(subject: Subject) -> list[tuple[str, str]]:
    found = []
    if subject.opened is not None:
        release, manifest = subject.opened.release, subject.opened.made.manifest
        found = [
            ("release", f"{release.number}, published by run {release.run}"),
            ("as of", release.as_of),
            ("events", " to ".join(manifest["window"])),
            ("table", release.table),
            ("planner", manifest["planner"] or "none"),
        ]
    if subject.model is not None:
        found.append(("model", subject.model.version))
    if subject.interests is not None:
        found.append(("interests", subject.interests.version))
    if subject.counted is not None:
        found.append(("transitions", subject.counted.version))
    return found
