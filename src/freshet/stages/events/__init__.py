"""Events: from the files people have to a log of one schema, and a catalogue of items.

    source files -> source_listing, source_folders, source_buckets   what lies where, and what is passed over
                 -> formats, packed_files   which files, which layout; unpacking
                 -> source_tables   one file as a query, whatever its format (`text_files`, `csv_text`)
                 -> columns, id_columns   which column is what
                 -> time_forms, clocks   when it happened; `date_forms` remembers dd/mm or mm/dd
                 -> staging   every row is fine, or goes to `quarantine` (as it stood: `raw_rows`)
                 -> merging   joined with the days they touch, one row per event
                 -> event_days, snapshots   immutable day files, and which of them make up the log
                 -> plausibility   can its times be true; its first and last day, strays aside

    messages of a stream -> message_staging, stream_batch   staged likewise; `stream_state`: how far they go
                 -> pruning   what later snapshots have replaced

`event_log.EventLog` runs these in order; `rule` decides which events are engagements; `item_catalogue` reads
the catalogue; `history_reader` reads what each user engaged last; `refused_sources` remembers the sources
of which no row was fine.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
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
    from freshet.stages.events.stream_batch import Batch, BatchReport
    from freshet.stages.events.stream_state import StreamState
else:
    __getattr__ = late(__name__)

__all__ = [
    "ITEMS_FILE",
    "Batch",
    "BatchReport",
    "DayFile",
    "EventLog",
    "HistoryReader",
    "ImportReport",
    "ItemsReport",
    "Overlap",
    "Refused",
    "Rule",
    "Snapshot",
    "StreamState",
    "body",
    "brings_items",
    "import_items",
    "item_source",
    "overlap",
    "parse",
]
