"""The plain types that stages exchange. Vocabulary: docs/vocabulary.md.

Interests are handled by **index** (0..N-1, the order of `Interests.ids`) inside computations, and by their
stable **id** wherever a person or another release reads them. Arrays of recent interests are right-aligned:
the last column is the most recent, the left is padded with -1, so `recent[:, -k:]` is the context.
"""

from freshet.core.time import AsOf
from freshet.core.types.cadence import CadenceDecision, Signs, Staleness
from freshet.core.types.content import (
    CONTENT,
    EARLIER_ITEMS,
    ENGAGED_INTERESTS,
    ENGAGED_ITEMS,
    TEXT_INTERESTS,
    TEXT_ITEMS,
    Centroids,
    ContentView,
)
from freshet.core.types.evidence import ContextEvidence, Evidence, Successor
from freshet.core.types.experiment import (
    LIVE,
    STRATEGIES,
    Experiment,
    ExperimentArm,
    MeasurementRules,
    MetricRule,
    Serves,
    Strategy,
)
from freshet.core.types.ids import User, item_key, user_key, user_number
from freshet.core.types.interests import (
    RECENT,
    BoolArray,
    Context,
    Eligibility,
    FloatArray,
    IntArray,
    Interests,
    code_of,
    context_codes,
    indices_of,
    pack_contexts,
    positions,
)
from freshet.core.types.learners import Learners
from freshet.core.types.planner_types import (
    Example,
    PlannerPrior,
    PlannerRows,
    Prompt,
    Ranking,
    ShortLists,
    TuningReport,
    Usage,
    UserRows,
)
from freshet.core.types.recommendations import (
    REMEMBERED,
    TRANSITION,
    Answer,
    Entry,
    Fact,
    History,
    Recommendation,
    RecommendedItem,
)
from freshet.core.types.scoring import Fusion, Mixture, RankingWeights, Scores, SequenceWeights
from freshet.core.types.transitions import Outcomes, Sums, Transitions

__all__ = [
    "CONTENT",
    "EARLIER_ITEMS",
    "ENGAGED_INTERESTS",
    "ENGAGED_ITEMS",
    "LIVE",
    "RECENT",
    "REMEMBERED",
    "STRATEGIES",
    "TEXT_INTERESTS",
    "TEXT_ITEMS",
    "TRANSITION",
    "Answer",
    "AsOf",
    "BoolArray",
    "CadenceDecision",
    "Centroids",
    "ContentView",
    "Context",
    "ContextEvidence",
    "Eligibility",
    "Entry",
    "Evidence",
    "Example",
    "Experiment",
    "ExperimentArm",
    "Fact",
    "FloatArray",
    "Fusion",
    "History",
    "IntArray",
    "Interests",
    "Learners",
    "MeasurementRules",
    "MetricRule",
    "Mixture",
    "Outcomes",
    "PlannerPrior",
    "PlannerRows",
    "Prompt",
    "Ranking",
    "RankingWeights",
    "Recommendation",
    "RecommendedItem",
    "Scores",
    "SequenceWeights",
    "Serves",
    "ShortLists",
    "Signs",
    "Staleness",
    "Strategy",
    "Successor",
    "Sums",
    "Transitions",
    "TuningReport",
    "Usage",
    "User",
    "UserRows",
    "code_of",
    "context_codes",
    "indices_of",
    "item_key",
    "pack_contexts",
    "positions",
    "user_key",
    "user_number",
]
