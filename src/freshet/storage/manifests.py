"""What the manifests of artifacts hold, a type for each kind.

The names of the fields are the keys in `manifest.json`, beside those that the store adds (`kind`, `version`,
`format`, `files`, `seal`). `settings` and `config` are compared as a whole: an artifact made with others is
not used. `inputs` name the versions of the artifacts that it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from freshet.core.errors import ArtifactError
from freshet.core.time_scales import Pace
from freshet.storage.artifacts import Artifact

Settings = dict[str, Any]
Json = dict[str, Any]

_ABSENT: dict[str, bool] = {"absent": True}
"""Marks fields that are left out of the file where they have their default."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one kind of artifact says about itself."""

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """The manifest of an artifact.

        Raises:
            ArtifactError: it lacks something, or was made in another way.
        """
        try:
            found: Self = _reader(cls.__name__).validate_python(artifact.manifest)
        except ValidationError as error:
            first = error.errors()[0]
            raise ArtifactError(
                f"the manifest of {artifact.kind}/{artifact.version} can't be read: "
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                hint="it is damaged, or was made by another Freshet: `freshet doctor` tells",
            ) from None
        return found

    def as_dict(self) -> Json:
        """As it is stored."""
        return _as_dict(self)


@cache
def _reader(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(globals()[name])


def _as_dict(value: Any) -> Json:
    found = {}
    for one in fields(value):
        content = getattr(value, one.name)
        if not one.metadata or content != one.default:
            found[one.name] = _as_dict(content) if is_dataclass(content) else content
    return found


@dataclass(frozen=True, kw_only=True)
class Catalogue(Manifest):
    """`items`: rows that were read, and what became of them.

    Attributes:
        quarantined: rows by reason.
        without_text: items that no word describes.
        notes: for a person.
    """

    rows: int
    items: int
    duplicates: int
    quarantined: dict[str, int]
    without_text: int
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class FromEvents:
    """What interests are formed from."""

    events: str
    items: str


@dataclass(frozen=True, kw_only=True)
class InterestsManifest(Manifest):
    """`interests`: a tree of clusters, formed on the events before `formed_before`.

    Attributes:
        lineage: version of the first of the interests among which ids mean the same.
        generation: number within the lineage, from 1.
        pace: of the log when they were formed.
    """

    as_of: str
    config: Settings
    formed_before: str = ""
    inputs: FromEvents
    lineage: str
    generation: int = 0
    pace: Pace
    summary: Json


@dataclass(frozen=True, kw_only=True)
class FromInterests:
    """What an assignment is made from."""

    interests: str
    items: str


@dataclass(frozen=True, kw_only=True)
class AssignmentManifest(Manifest):
    """`assignments`: the interest of every item."""

    inputs: FromInterests
    summary: Json


@dataclass(frozen=True, kw_only=True)
class FromAssignment:
    """What transitions are counted from; `transitions` where an arm's own are a part of everybody's."""

    events: str
    assignment: str
    transitions: str = field(default="", metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class TransitionsManifest(Manifest):
    """`transitions`: an index of day files."""

    as_of: str = ""
    settings: Settings
    inputs: FromAssignment
    summary: Json


@dataclass(frozen=True, kw_only=True)
class ScreenManifest(Manifest):
    """`screens`: moves of new users that are held back from counting, and why.

    Attributes:
        transitions: version of what was screened.
        summary: moves of new users `judged`, `held_back`, days and interests with `bursts`, and the `latest`.
    """

    as_of: str
    settings: Settings
    transitions: str
    summary: Json


@dataclass(frozen=True, kw_only=True)
class FromTransitions:
    """What is learned from."""

    transitions: str
    interests: str


@dataclass(frozen=True, kw_only=True)
class Trained(Manifest):
    """How trainings ended.

    Attributes:
        trainings: `steps` and `stopped_after` of each; the latter is null where the clock didn't end it.
            Where known, also why it `ended`, and where rows were held out their `nll` and its `noise`.
        stopped: "clock" where it ended one, else null.
        start: version of the artifact whose weights there were to begin at; '' = none.
        in_a_row: artifacts, with this one, that began at one another's; 0 = it began at random weights.
        forgotten: names the people who had been forgotten by then, see `warm_starts`.
        learned: rows of the training that others may begin at.
        since: first day of the log that it learned from.
        screened: moves of new users that nothing bore out were held back from it.
    """

    as_of: str
    settings: Settings
    inputs: FromTransitions
    trainings: dict[str, Json] = field(default_factory=dict)
    stopped: str | None = None
    start: str = field(default="", metadata=_ABSENT)
    in_a_row: int = field(default=0, metadata=_ABSENT)
    forgotten: str = field(default="", metadata=_ABSENT)
    learned: int = field(default=0, metadata=_ABSENT)
    since: str = field(default="", metadata=_ABSENT)
    screened: bool = field(default=False, metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class ModelManifest(Trained):
    """`models`: a fine-tuned planner.

    Attributes:
        tuned_before: what comes later was held out from the holdout model.
        base: name of the model it was tuned from.
    """

    tuned_before: str
    examples: int
    base: str


@dataclass(frozen=True, kw_only=True)
class GatesManifest(Manifest):
    """`gates`: the report of the gates on a model, as they were set."""

    model: str
    settings: Settings
    report: Json


@dataclass(frozen=True, kw_only=True)
class SequenceManifest(Trained):
    """`sequences`: a sequence model, trained twice; `trained_before` has a moment for each of the two."""

    trained_before: dict[str, str]
    passes: float


@dataclass(frozen=True, kw_only=True)
class ItemModelManifest(Trained):
    """`itemmodels`: what a ranker of items learned; `judged` is how it did on held-out windows."""

    judged: Json


@dataclass(frozen=True, kw_only=True)
class FromItemModel:
    """What a ranker is made from; `itemmodel` is empty where items are ranked by popularity alone."""

    itemmodel: str
    transitions: str
    interests: str


@dataclass(frozen=True, kw_only=True)
class RankerManifest(Manifest):
    """`rankers`: all items as of a moment; `new` counts those that weren't learned from."""

    as_of: str
    inputs: FromItemModel
    items: int
    new: int


@dataclass(frozen=True, kw_only=True)
class FromCatalogue:
    """What vectors of texts are made from: an encoder, or the words of interests."""

    items: str
    interests: str = field(default="", metadata=_ABSENT)
    encoder: str = field(default="", metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class TextsManifest(Manifest):
    """`texts`: vectors of the texts of a catalogue."""

    inputs: FromCatalogue
    summary: Json


@dataclass(frozen=True, kw_only=True)
class ContentManifest(Manifest):
    """`content`: items and interests as vectors; `learned_before` has a moment for each of the two kinds."""

    as_of: str
    learned_before: dict[str, str]
    inputs: FromAssignment
    texts: str
    summary: Json


@dataclass(frozen=True, kw_only=True)
class PriorManifest(Manifest):
    """`priors`: what a planner says comes after each interest alone.

    Attributes:
        generation: number among the workspace's priors, from 1.
        planner: its version.
        relative: its answers multiply popularity.
        asked, answered: interests.
    """

    generation: int
    settings: Settings
    planner: str
    relative: bool
    asked: int
    answered: int


@dataclass(frozen=True, kw_only=True)
class FromModel:
    """What a table is made from; empty where there was none."""

    transitions: str
    interests: str
    model: str
    previous: str
    sequence: str = field(default="", metadata=_ABSENT)
    content: str = field(default="", metadata=_ABSENT)
    prior: str = field(default="", metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class TableManifest(Manifest):
    """`tables`: a row of ranked successors for every context.

    Attributes:
        k: interests of a context, at most.
        window: first and last day of the log before `as_of`.
        planner: its version; '' where plain counts rank.
        not_asked: prompts that a planner was not asked, since it was gone or a budget was spent.
    """

    code: int = 0
    as_of: str
    k: int
    rows: int
    not_asked: int = 0
    window: list[str]
    settings: Settings
    inputs: FromModel
    planner: str


@dataclass(frozen=True, kw_only=True)
class FromTable:
    """What an overlay is made from; `table` is empty for one of plain counts."""

    transitions: str
    interests: str
    table: str


@dataclass(frozen=True, kw_only=True)
class Weighed(Manifest):
    """What was weighed on held-out data, and whether it pays.

    Attributes:
        why: it doesn't pay, '' where it does.
        judged: the fitted weights with their intervals; None where nothing could be fitted, as all below.
        held_out: rows, `held_out_users` users that it was weighed on.
        gain: in nats: `nll` with its interval from `low` to `high`.
    """

    code: int = 0
    as_of: str
    settings: Settings
    pays: bool
    why: str
    judged: Json | None = field(default=None, metadata=_ABSENT)
    held_out: int | None = field(default=None, metadata=_ABSENT)
    held_out_users: int | None = field(default=None, metadata=_ABSENT)
    gain: dict[str, float] | None = field(default=None, metadata=_ABSENT)
    weights: dict[str, float] | None = field(default=None, metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class OverlayManifest(Weighed):
    """`overlays`: counters of live signals; `pseudo` are the counts they are shrunk by."""

    inputs: FromTable
    pseudo: float | None = field(default=None, metadata=_ABSENT)


@dataclass(frozen=True, kw_only=True)
class UserRowsManifest(Weighed):
    """`user_rows`: planner answers about single users; `held_out` are transitions at which one is used.

    Attributes:
        active: users active lately with more recent interests than a context of the table holds.
        asked, copied: of them, those whose prompt was asked now, and those whose answer was there.
        unanswered: of them, those of whom the planner answered nothing.
        kept: of the others, those whose earlier row still speaks of them.
        rows: users with a row.
    """

    inputs: FromTable
    active: int
    asked: int
    copied: int
    unanswered: int
    kept: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class FromLog:
    """What feedback is made from."""

    transitions: str
    interests: str
    events: str


@dataclass(frozen=True, kw_only=True)
class FeedbackManifest(Weighed):
    """`feedback`: what people did with proposals.

    Attributes:
        strengths: prior counts that were chosen.
        lifts: how many pairs have one.
    """

    inputs: FromLog
    strengths: list[float] | None = field(default=None, metadata=_ABSENT)
    lifts: int | None = field(default=None, metadata=_ABSENT)
