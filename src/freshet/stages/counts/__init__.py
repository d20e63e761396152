"""Stage: what plain counts know before a moment, and the fitted mixture.

`count_model` turns summed transitions into log-probabilities per feature (recent popularity at several
half-lives, last interest, pair, several recent interests); `prior_counts` chooses how strongly sparse counts
are shrunk; `mixture` fits the weights that combine the features on `holdout_windows`; `fitter` does all of it
for one moment. `planner_score` makes a planner's answers a feature and `content_score` what
items say; `fusion` decides which of sequence model, content and planner enter beside the counts. `scorer`
applies the mixture to users and contexts, and `single_user_scorer` to one user, in microseconds; `user_part`
is what both add for users whom the planner was asked about.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.counts.content_score import NOBODY, content_features, content_weights, has_profile
    from freshet.stages.counts.count_model import FEW, CountModel, feature_names, popularity_of
    from freshet.stages.counts.format import read, write
    from freshet.stages.counts.fusion import Blocks, Change, Weighed, fuse, mean_by_user, weigh
    from freshet.stages.counts.mixture import (
        Held,
        fit,
        log_likelihood,
        log_likelihood_of,
        log_softmax,
        scores,
    )
    from freshet.stages.counts.planner_prior import SHARES, STAND_IN, towards
    from freshet.stages.counts.planner_score import PlannerScores
    from freshet.stages.counts.prior_counts import HeldOut, choose_prior_counts, likelihood_after_last
    from freshet.stages.counts.row_by_row import RowByRow
    from freshet.stages.counts.scorer import (
        COUNTS,
        FUSED,
        PLANNER,
        SEQUENCE,
        ContentPart,
        Scorer,
        SequenceLogits,
        held_by_all,
        held_by_counts,
        length_class,
    )
    from freshet.stages.counts.single_user_scorer import SingleUserScorer, UserScores
    from freshet.stages.counts.user_part import UserPart
else:
    __getattr__ = late(__name__)

__all__ = [
    "COUNTS",
    "FEW",
    "FUSED",
    "NOBODY",
    "PLANNER",
    "SEQUENCE",
    "SHARES",
    "STAND_IN",
    "Blocks",
    "Change",
    "ContentPart",
    "CountModel",
    "Held",
    "HeldOut",
    "PlannerScores",
    "RowByRow",
    "Scorer",
    "SequenceLogits",
    "SingleUserScorer",
    "UserPart",
    "UserScores",
    "Weighed",
    "choose_prior_counts",
    "content_features",
    "content_weights",
    "feature_names",
    "fit",
    "fuse",
    "has_profile",
    "held_by_all",
    "held_by_counts",
    "length_class",
    "likelihood_after_last",
    "log_likelihood",
    "log_likelihood_of",
    "log_softmax",
    "mean_by_user",
    "popularity_of",
    "read",
    "scores",
    "towards",
    "weigh",
    "write",
]
