"""Others are told of the runs in the ledger: MLflow, and receivers of OpenLineage events.

`run_facts` says what is told of a run, `tell_trackers` what was told already and what is left for later.
The ledger stays the only truth: what could not be sent is sent later, and nothing of it decides anything.
"""

from freshet.tracking.run_facts import run_facts
from freshet.tracking.tell_trackers import Sent, send_all, send_new

__all__ = ["Sent", "run_facts", "send_all", "send_new"]
