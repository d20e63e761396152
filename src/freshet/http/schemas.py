"""What travels over HTTP: requests, strictly read, and answers. The OpenAPI document is made of these."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from freshet.core.time import SECOND, microseconds_of
from freshet.serving.messages import Event, Query

MOST_ITEMS = 10_000
"""Ids in one list of a request."""
LAST_MOMENT = 4_102_444_800
"""2100-01-01 in seconds since 1970: a later time is milliseconds by mistake."""

Key = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Word = Annotated[str, StringConstraints(max_length=256)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _whole(number: Any) -> Any:
    """JSON knows no integers: 3.0 is one."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(_whole)]


def _moment(value: Any) -> int:
    """Microseconds since 1970 of ISO 8601 or of seconds since 1970."""
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        found = microseconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    elif isinstance(value, int | float) and not isinstance(value, bool) and -1 < value < 1e12:
        found = round(value * SECOND)
    else:
        raise ValueError("a time is ISO 8601, or seconds since 1970")
    if not 0 <= found < LAST_MOMENT * SECOND:
        raise ValueError("a time lies between 1970 and 2100")
    return found


Moment = Annotated[
    int,
    PlainValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "format": "date-time",
                    "pattern": "^(19[789]|20[0-9])[0-9]-",
                    "description": "ISO 8601; without a zone it is UTC",
                },
                {
                    "type": "number",
                    "minimum": 0,
                    "exclusiveMaximum": LAST_MOMENT,
                    "description": "seconds since 1970 (UTC)",
                },
            ]
        }
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ExploreRequest(_Strict):
    """Which interests, and which items of them, to show now."""

    user: Key | None = Field(None, description="whose remembered history counts", examples=["u1"])
    history: Annotated[list[Key], Field(max_length=MOST_ITEMS)] | None = Field(
        None,
        description="ids of items engaged, oldest first, instead of what is remembered of the user",
        examples=[["tt0111161", "tt0468569"]],
    )
    interests: Whole = Field(3, ge=1, le=100, description="how many interests to show")
    items: Whole = Field(10, ge=0, le=100, description="how many items of each; 0 = none")
    explain: bool = Field(False, description="say what speaks for each interest")
    attributes: Annotated[dict[Key, Word], Field(max_length=32)] = Field(
        default_factory=dict, description="of the request, such as `region`, for rules that depend on them"
    )
    exclude: Annotated[list[Key], Field(max_length=MOST_ITEMS)] = Field(
        default_factory=list, description="ids of items not to show, beside those that the user engaged"
    )
    release: Number | None = Field(
        None, description="number of a release that is open; null = the current one"
    )
    log: bool = Field(True, description="whether the impression is kept")

    def query(self) -> Query:
        """The same as the recommender reads it."""
        return Query(
            user=self.user,
            history=None if self.history is None else tuple(self.history),
            interests=self.interests,
            items=self.items,
            explain=self.explain,
            attributes=self.attributes,
            exclude=tuple(self.exclude),
            release=self.release,
            log=self.log,
        )


class EventRequest(_Strict):
    """Somebody did something with an item."""

    user: Key = Field(examples=["u1"])
    item: Key = Field(examples=["tt0111161"])
    time: Moment | None = Field(
        None, description="when; null = when it was received", examples=["2026-01-05T10:00:00Z"]
    )
    value: Finite = Field(1.0, description="how much: rating, watch share, quantity", examples=[9.0])
    id: Word = Field("", description="your own id of the event; '' = (user, item, time) is its identity")
    impression: Word = Field("", description="`id` of the answer that it follows from; '' = unknown")
    columns: Annotated[dict[Key, Word | Finite | bool], Field(max_length=32)] = Field(
        default_factory=dict, description="further columns, which the positive rule and metrics may read"
    )

    def event(self) -> Event:
        """The same as the recommender reads it."""
        return Event(
            user=self.user,
            item=self.item,
            time=self.time,
            value=self.value,
            id=self.id,
            impression=self.impression,
            columns=self.columns,
        )


class SwitchRequest(_Strict):
    """Which release is to serve."""

    release: Number | None = Field(description="number of the release to serve; null = follow CURRENT")


class ItemOffer(BaseModel):
    """An item to show."""

    id: str
    title: str = Field(description="'' = none is known")
    score: float = Field(description="log-probability among the interest's items")
    reason: str = Field(description="`sequence`, `new`, `popular` or `parent`")


class Offer(BaseModel):
    """An interest to show, and items of it."""

    id: int
    description: str
    score: float | None = Field(
        description="log-probability that it is the next interest; null = it is one that the user knows"
    )
    propensity: float = Field(
        description="probability with which it stands here, given those before it; 1 without exploration"
    )
    reason: str = Field(
        description="`mixture`, `unfitted`, `explored`, `live`, `feedback`, `popular` or `known`"
    )
    items: list[ItemOffer] = Field(description="best first")
    explanation: dict[str, Any] | None = Field(description="what speaks for it, where asked for")


class Answer(BaseModel):
    """What to show a user; everything in it comes from one release."""

    id: str = Field(description="of this impression; events that follow from it may name it")
    release: int
    context: list[str] = Field(description="the user's own context, most recent last")
    context_ids: list[int] = Field(description="the same by id")
    answered: str = Field(description="which row holds the context: `pair`, `last`, `popular`, `triple`")
    explored: bool = Field(description="whether the interests were drawn rather than the best taken")
    degraded: bool = Field(description="the state could not be read: answered like an unknown user")
    experiment: str = Field(description="which experiment decided what is shown; '' = none")
    arm: str = Field(description="the user's arm in it")
    interests: list[Offer] = Field(description="best first; empty only where the rules allow nothing")


class Answers(BaseModel):
    """One answer to each question, in their order."""

    answers: list[Answer]


class Receipt(BaseModel):
    """What became of an event."""

    status: Literal["recorded", "duplicate", "refused"]
    why: str = Field(description="why it was refused")


class Receipts(BaseModel):
    """What became of each event, in their order; what is recorded outlives a crash."""

    recorded: int
    duplicates: int
    refused: int
    receipts: list[Receipt]


class Release(BaseModel):
    """A release, and how it stands in this server."""

    number: int
    as_of: str = Field(description="'' where the release is damaged")
    open: bool = Field(description="whether it is in memory, so that a request may name it")
    serving: bool = Field(description="whether it answers what names no release")
    pinned: bool = Field(description="whether it was switched to, rather than followed")
    ranker: bool = Field(description="whether it ranks items")
    live: bool = Field(description="whether live signals have a weight in it")
    damaged: bool = Field(description="whether its file can't be read")


class Releases(BaseModel):
    """All releases, newest first."""

    current: int
    releases: list[Release]


class Health(BaseModel):
    """Whether to send requests here."""

    status: Literal["ok", "ready", "not ready"]
    release: Whole | None = None
    detail: str = ""


class Problem(BaseModel):
    """Why a request failed."""

    error: str = Field(description="a word for programs, such as `bad_request`")
    message: str
    hint: str = Field(description="what to do; may be empty")
    request_id: str
