"""What a layout is: the files of a published data set, how each is read, and what becomes an event."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from freshet.core import config

Role = Literal["events", "items", "other"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read; without anything set, as any other file is.

    Settings that a person changed go before `events`, `items` and `time_format`.

    Attributes:
        columns: names of the columns of a text file without a header, whose fields are never quoted.
        delimiter: of such a file.
        needs: columns that the file must have.
        rows: SQL over `{rows}`, the file's columns as they are, which keeps all of them and may add others,
            or make several rows of one; '' = the file's rows.
        aside: columns that are left out of a catalogue.
        events, items: which column holds what.
        time_format: as [events] time_format; auto = what the file itself proves.
    """

    columns: tuple[str, ...] = ()
    delimiter: str = "::"
    needs: tuple[str, ...] = ()
    rows: str = ""
    aside: tuple[str, ...] = ()
    events: config.Columns = field(default_factory=config.Columns)
    items: config.ItemColumns = field(default_factory=config.ItemColumns)
    time_format: str = "auto"

    def applied(self, settings: config.Events) -> config.Events:
        """The settings with which a file of this kind is read."""
        changed: dict[str, object] = {
            "columns": _merged(settings.columns, self.events),
            "item_columns": _merged(settings.item_columns, self.items),
        }
        if settings.time_format == "auto":
            changed["time_format"] = self.time_format
        return settings.model_copy(update=changed)


def _merged(wanted: BaseModel, published: BaseModel) -> BaseModel:
    """The published names, but for those that a person changed."""
    own = {
        name: value
        for name, value in wanted.model_dump().items()
        if value != type(wanted).model_fields[name].default
    }
    return published.model_copy(update=own)


PLAIN = Reading()


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of file of a layout.

    Attributes:
        name: regular expression that the file's whole name matches, in lower case and without packing.
        role: what the file holds; a file may be a part in two roles.
        shown: the name in messages.
        head: regular expression that is found in its first line; of Parquet, in the names of its columns,
            separated by tabs; '' = any.
        sign: whether such a file alone says of which layout a folder is.
        distinct: whether no other data set has a file of this name, so that another first line is an error.
        required: whether a folder without such a file is incomplete.
        taken: of events: what becomes an event.
        positive: of events: the usual positive rule; '' = every event is an engagement.
        why: of others: why they are not read.
    """

    name: str
    role: Role
    shown: str
    reading: Reading = PLAIN
    head: str = ""
    sign: bool = False
    distinct: bool = False
    required: bool = False
    taken: str = ""
    positive: str = ""
    why: str = ""

    def named(self, name: str) -> bool:
        """Whether a file of this name may be such a part."""
        return re.fullmatch(self.name, name.lower()) is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """A published data set.

    Attributes:
        name: as [events] layout gives it.
        title: what people call it.
        source: where its layout is described.
        parts: the more wanted first.
        one_kind: whether of several kinds of event files only the first is read, since they tell of the same.
        refused: why it can't be an event log; '' = it can.
        hint: what to do instead, with `refused`.
    """

    name: str
    title: str
    source: str
    parts: tuple[Part, ...]
    one_kind: bool = False
    refused: str = ""
    hint: str = ""
