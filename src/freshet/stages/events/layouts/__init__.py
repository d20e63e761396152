"""Layouts of published data sets: one table, in which a data set is an entry.

`published` says what a layout is, `recognition` tells which one a source has; a module per data set names its
files, their columns and what becomes an event. The names and first lines of files decide.
"""

from freshet.stages.events.layouts.amazon_reviews import AMAZON
from freshet.stages.events.layouts.kuairand import KUAIRAND
from freshet.stages.events.layouts.lastfm import LISTENS, TOTALS
from freshet.stages.events.layouts.mind import MIND
from freshet.stages.events.layouts.movielens import CSV, DAT, DAT_EVENTS, DAT_ITEMS, MOVIETWEETINGS, OLD
from freshet.stages.events.layouts.open_bandit import OPEN_BANDIT
from freshet.stages.events.layouts.published import PLAIN, Layout, Reading
from freshet.stages.events.layouts.recognition import LaidOut, recognise
from freshet.stages.events.layouts.yambda import YAMBDA

LAYOUTS: tuple[Layout, ...] = (
    MIND, KUAIRAND, AMAZON, YAMBDA, LISTENS, TOTALS, OPEN_BANDIT, CSV, DAT, OLD, MOVIETWEETINGS,
)  # fmt: skip

__all__ = ["DAT_EVENTS", "DAT_ITEMS", "LAYOUTS", "PLAIN", "LaidOut", "Layout", "Reading", "recognise"]
