"""Stage: a sequence model over recent interests, whose score may enter the mixture.

`sasrec` is the frozen model and its forward pass in numpy; `single_user` is the pass for one user, compiled;
`format` keeps it as plain arrays. A backend trains it (`SequenceTrainer`). The vocabulary may be interests or
items: the model only knows numbers.
"""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.stages.sequence.format import read, write
    from freshet.stages.sequence.sasrec import SequenceModel
else:
    __getattr__ = late(__name__)

__all__ = ["SequenceModel", "read", "write"]
