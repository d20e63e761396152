"""Stage: transitions -> balanced, evidence-aware examples -> (a tuner fine-tunes) -> gates.

`examples` chooses and words the samples; `gates` judges a planner on held-out transitions. The tuner is a
port: see `freshet.backends.planners`.
"""

from freshet.tuning.examples import balanced, make_examples
from freshet.tuning.gates import Gate, GateReport, judge

__all__ = ["Gate", "GateReport", "balanced", "judge", "make_examples"]
