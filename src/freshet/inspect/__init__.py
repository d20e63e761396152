"""Questions about a workspace, answered from its artifacts without changing anything.

`release_view` opens a release's table and says what its weights mean · `explanation` explains one context,
`prompt_preview` gives the prompt that would be asked about it now · `release_diff` compares two releases ·
`workspace_status` says what serves, what is due and what waits · `run_listing` lists the runs,
`interest_listing` the interests · `level_listing` holds what is measured against what is promised ·
`job_listing` says what runs by itself. For the dashboard's pages to explore: `item_lookup` finds items,
`interest_tree` and `interest_view` show interests, `take_ups` what was taken up over time, `context_scores`
the parts of the mixture, `report_listing` the reports. The command line, the report and the dashboard only
render what these return.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.inspect.explanation import Explanation, explain
    from freshet.inspect.interest_listing import Listing, busiest_items, formed, listing
    from freshet.inspect.job_listing import JobView, ScheduleView, schedule_view
    from freshet.inspect.level_listing import Live, ServiceLevel, ServiceLevels, live_of, service_levels
    from freshet.inspect.prompt_preview import Preview, preview
    from freshet.inspect.release_diff import Diff, compare
    from freshet.inspect.release_view import Drive, Drives, Opened, artifact, open_release
    from freshet.inspect.run_listing import RunLine, history, outcome
    from freshet.inspect.workspace_status import Status, cut_short, status
else:
    __getattr__ = late(__name__)

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
