"""Sections on the log: [events], [interests], [transitions]."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from freshet.core.config.section import Days, Section

TimeFormat = (
    Literal[
        "auto", "day-first", "month-first", "iso", "days", "hours", "minutes", "seconds", "milliseconds",
        "microseconds", "nanoseconds", "excel",
    ]
    | Annotated[str, Field(pattern="%")]
)  # fmt: skip

LayoutName = Literal[
    "auto", "none", "mind", "kuairand", "amazon-reviews-2023", "yambda", "lastfm-1k", "lastfm-360k",
    "open-bandit", "movielens", "movielens-dat", "movielens-100k", "movietweetings",
]  # fmt: skip

MISSING = (
    "None", "NULL", "nan", "NaT", "NA", "N/A", "#N/A", "<NA>", "<null>", "(null)", "nil", "undefined",
    "\\N", "-",
)  # fmt: skip
"""How tools write that there is no value."""


class Columns(Section):
    """Which column of the source holds what; empty means: the source has none."""

    user: str = Field("user_id", description="who")
    item: str = Field("item_id", description="what")
    time: str = Field(
        "timestamp", description="when: a timestamp, a date and clock as text, or a number since 1970"
    )
    value: str = Field("value", description="how much: rating, watch share, quantity; '' = 1 for every event")
    id: str = Field(
        "",
        description="the client's event id, if it has one; else (user, item, time) is the identity",
    )


class ItemColumns(Section):
    """Which column of the item file holds what."""

    item: str = Field("item_id", description="the item's id, as in the events")
    title: str = Field("title", description="short name; '' = none")
    text: str = Field("text", description="everything worth reading about the item; '' = title only")


class Events(Section):
    """Where the log comes from, and what counts as an engagement."""

    files: tuple[str, ...] = Field(
        (),
        description="event files (Parquet, CSV, JSON), folders or globs of them, or folders of published "
        "data sets",
    )
    items: str = Field(
        "",
        description="item file, folder or glob; empty = what the event folders hold, else interests from "
        "co-engagement only",
    )
    positive: str = Field(
        "", description="positive rule, such as `value >= 7`; empty = every event is an engagement"
    )
    layout: LayoutName = Field(
        "auto",
        description="which published data set the files are of: auto = what their names and first lines say; "
        "none = of none; or its name",
    )
    timezone: str = Field("UTC", description="zone of timestamps that carry none")
    time_format: TimeFormat = Field(
        "auto",
        description="how times are written: auto = what the file itself proves; day-first, month-first; iso; "
        "days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds since 1970; "
        "excel (days since 1900); or as strptime has it, such as `%d-%m-%Y %H:%M`",
    )
    encoding: str = Field(
        "auto",
        description="of text files that are not UTF-8, such as `cp1251`; auto = UTF-16, or Windows-1252 "
        "where it makes sense, else refused",
    )
    missing: tuple[str, ...] = Field(
        MISSING, description="words that stand for no id, in any case of letters; blank ids always do"
    )
    columns: Columns = Columns()
    item_columns: ItemColumns = ItemColumns()


class InterestsConfig(Section):
    """How items become interests."""

    count: int = Field(100, ge=2, le=32_000, description="how many interests (size of the working level)")
    taxonomy: str = Field("", description="item column to use as interests instead of clustering")
    co_engagement: float = Field(
        0.5, ge=0, le=1, description="weight of who-engaged-what beside text in the item vectors"
    )
    text_vectors: Literal["tfidf", "encoder"] = Field(
        "tfidf",
        description="what texts are compared by: tfidf = their words; encoder = the vectors of [content]; "
        "descriptions are words of the texts in any case",
    )
    formed_on: Literal["engaged", "catalogue"] = Field(
        "engaged",
        description="items that interests are formed on: those that somebody engaged, or the whole "
        "catalogue, for a first day on which next to nothing is engaged",
    )
    seed: int = Field(0, description="seed of clustering")

    def deciding(self) -> dict[str, Any]:
        """What decides how interests are formed, for the keys of artifacts; an encoder has its own version.

        What came later is not named at its default: what was made before it is what it would be now.
        """
        late = {"text_vectors": "tfidf", "formed_on": "engaged"}
        return self.model_dump(exclude={name for name, usual in late.items() if getattr(self, name) == usual})


class TransitionsConfig(Section):
    """What a transition is."""

    k: int = Field(2, ge=1, le=3, description="context length: a user's k most recent distinct interests")
    novelty_days: Days = Field(
        30,
        description="H: an interest is novel if not engaged within H days; 'ever' = never before",
    )
    seed: int = Field(0, description="seed of the shuffle among interests of one step")
