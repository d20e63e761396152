"""Stage: transitions -> balanced, evidence-aware examples -> (a tuner fine-tunes) -> gates.

`examples` chooses and words the samples; `planner_evaluation` measures a planner on held-out transitions,
`gates` are the bounds it has to meet, `gate_verdict` says what they, or a person, decided. `lazy_planner`
loads a tuned planner at its first query. The tuner is a port: see `freshet.backends.planners`.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.tuning.examples import balanced, make_examples
    from freshet.stages.tuning.gates import (
        FORM,
        Evidence,
        Gate,
        GateReport,
        exact_match,
        gain_gate,
        gates_of,
        label_gates,
        recall,
        recall_gate,
    )
    from freshet.stages.tuning.planner_answers import answers
else:
    __getattr__ = late(__name__)

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
