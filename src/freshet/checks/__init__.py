"""Contract suites of the ports, for anyone who writes a backend.

Each check runs a backend through everything its port promises and raises AssertionError with what broke::

    from freshet.checks import check_planner

    def test_my_planner():
        check_planner(MyPlanner(...), prompts, interests=100)
"""

from freshet.checks.event_stream import check_event_stream
from freshet.checks.executor import check_executor
from freshet.checks.planner import check_planner
from freshet.checks.source_store import check_source_store
from freshet.checks.store import check_store
from freshet.checks.tracker import check_tracker
from freshet.checks.user_store import check_user_store

check_state = check_user_store  # its former name

__all__ = [
    "check_event_stream",
    "check_executor",
    "check_planner",
    "check_source_store",
    "check_state",
    "check_store",
    "check_tracker",
    "check_user_store",
]
