"""Events: from the files people have to a log of one schema, and a catalogue of items.

    source files -> source_folders, formats   which files, which layout
                 -> source_tables   one file as a query, whatever its format; text by way of `text_files`
                 -> columns, id_columns   which column is what
                 -> clocks   when it happened, however it is written (`date_forms`, `time_forms`)
                 -> staging   every row is fine, or in `quarantine` with a reason
                 -> refused_sources   a file of which no row is fine is an error
                 -> merging   joined with the days they touch, one row per event
                 -> event_days, snapshots   immutable day files, and which of them make up the log
                 -> plausibility   whether its times can be true, and from when until when it really reaches

`event_log` runs these in order; `rule` decides which events are engagements; `item_catalogue` reads the
catalogue; `history_reader` says what each user engaged last.
"""

from freshet.stages.events.event_days import DayFile
from freshet.stages.events.event_log import EventLog, ImportReport
from freshet.stages.events.formats import brings_items, item_source
from freshet.stages.events.history_reader import HistoryReader
from freshet.stages.events.item_catalogue import FILE as ITEMS_FILE
from freshet.stages.events.item_catalogue import ItemsReport, Overlap, import_items, overlap
from freshet.stages.events.plausibility import body
from freshet.stages.events.quarantine import Refused
from freshet.stages.events.rule import Rule, parse
from freshet.stages.events.snapshots import Snapshot

__all__ = [
    "ITEMS_FILE",
    "DayFile",
    "EventLog",
    "HistoryReader",
    "ImportReport",
    "ItemsReport",
    "Overlap",
    "Refused",
    "Rule",
    "Snapshot",
    "body",
    "brings_items",
    "import_items",
    "item_source",
    "overlap",
    "parse",
]
