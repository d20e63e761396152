"""Questions about a workspace, answered from its artifacts without changing anything.

`opened` a release's table and what is behind it · `explain` one context · `drives` what the fitted weights
say · `diff` two releases · `status` what serves, what is due, what waits · `history` the runs · `listing` the
interests. The CLI and the report only render what these return.
"""

from freshet.inspect.diff import Diff, compare
from freshet.inspect.drives import Drive, Drives
from freshet.inspect.explain import Explanation, explain
from freshet.inspect.history import RunLine, history, outcome
from freshet.inspect.listing import Listing, busiest_items, formed, listing
from freshet.inspect.opened import Opened, open_release
from freshet.inspect.status import Status, cut_short, status

__all__ = [
    "Diff",
    "Drive",
    "Drives",
    "Explanation",
    "Listing",
    "Opened",
    "RunLine",
    "Status",
    "busiest_items",
    "compare",
    "cut_short",
    "explain",
    "formed",
    "history",
    "listing",
    "open_release",
    "outcome",
    "status",
]
