"""Stage: a sequence model over the most recent things of a user, small enough to run without torch.

`model` is the frozen model and its forward pass in numpy; `alone` is the pass for one user, compiled;
`files` keeps it as plain arrays. A backend trains it (`SequenceTrainer`). The vocabulary may be
interests or items: the model only knows numbers.
"""

from freshet.stages.sequence.format import read, write
from freshet.stages.sequence.sasrec import SequenceModel

__all__ = ["SequenceModel", "read", "write"]
