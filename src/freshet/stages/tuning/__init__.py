"""Stage: transitions -> balanced, evidence-aware examples -> (a tuner fine-tunes) -> gates.

`examples` chooses and words the samples; `gates` decides whether a planner may be used without a person, by
what `evaluation` measured on held-out transitions; `lazy_planner` loads a tuned one at its first query.
The tuner is a port: see `freshet.backends.planners`.
"""

from freshet.stages.tuning.examples import balanced, make_examples
from freshet.stages.tuning.gates import (
    FORM,
    Evidence,
    Gate,
    GateReport,
    answers,
    exact_match,
    gain_gate,
    gates_of,
    label_gates,
    recall,
    recall_gate,
)

__all__ = [
    "FORM",
    "Evidence",
    "Gate",
    "GateReport",
    "answers",
    "balanced",
    "exact_match",
    "gain_gate",
    "gates_of",
    "label_gates",
    "make_examples",
    "recall",
    "recall_gate",
]
