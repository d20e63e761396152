"""Events: from the files people have to a log of one schema, and a catalogue of items.

    source files -> formats   which files, which layout
                 -> reading   one file as a query, whatever its format
                 -> columns, time_column   which column is what
                 -> times, forms   when it happened, however it is written; `orders` remembers dd/mm or mm/dd
                 -> staging   every row is fine, or quarantined with a reason
                 -> refusing  a file of which no row is fine is an error
                 -> merging   joined with the days they touch, one row per event
                 -> days, snapshots   immutable day files, and which of them make up the log
                 -> plausible   whether its times can be true
                 -> extent   from when until when it really reaches

`log.EventLog` runs these in order; `rule` decides which events are engagements; `items` reads the catalogue;
`histories` says what each user engaged last.
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
