"""Questions about a workspace, answered from its artifacts without changing anything.

`release_view` opens a release's table and says what its weights mean · `explanation` explains one context,
`prompt_preview` gives the prompt that would be asked about it now ·
`release_diff` compares two releases · `workspace_status` says what serves, what is due, what waits, and lists
the runs · `interest_listing` lists the interests · `service_levels` holds what is measured against what is
promised · `schedule_view` says what runs by itself. For the dashboard's pages to explore: `item_lookup` finds
items, `interest_tree` and `interest_view` show interests, `take_ups` what was taken up over time,
`context_scores` the parts of the mixture, `report_listing` the reports. The command line, the report and the
dashboard only render what these return.
"""

from freshet.inspect.explanation import Explanation, explain
from freshet.inspect.interest_listing import Listing, busiest_items, formed, listing
from freshet.inspect.prompt_preview import Preview, preview
from freshet.inspect.release_diff import Diff, compare
from freshet.inspect.release_view import Drive, Drives, Opened, artifact, open_release
from freshet.inspect.schedule_view import JobView, ScheduleView, schedule_view
from freshet.inspect.service_levels import Live, ServiceLevel, ServiceLevels, live_of, service_levels
from freshet.inspect.workspace_status import RunLine, Status, cut_short, history, outcome, status

__all__ = [
    "Diff",
    "Drive",
    "Drives",
    "Explanation",
    "JobView",
    "Listing",
    "Live",
    "Opened",
    "Preview",
    "RunLine",
    "ScheduleView",
    "ServiceLevel",
    "ServiceLevels",
    "Status",
    "artifact",
    "busiest_items",
    "compare",
    "cut_short",
    "explain",
    "formed",
    "history",
    "listing",
    "live_of",
    "open_release",
    "outcome",
    "preview",
    "schedule_view",
    "service_levels",
    "status",
]
