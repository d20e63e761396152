"""Files that are as their checksums say, and hold something else all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from tokenize import TokenError
from typing import Concatenate, ParamSpec, TypeVar

from freshet.core.errors import ArtifactError

More = ParamSpec("More")
Place = TypeVar("Place")
Read = TypeVar("Read")
OTHERWISE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError),
    *(NotImplementedError, MemoryError, RecursionError, TokenError),
)
"""What libraries raise at files that hold something else; pyarrow's errors are among their kinds.

TokenError: of numpy, at a header without end.
"""


def sound(read: Callable[Concatenate[Place, More], Read]) -> Callable[Concatenate[Place, More], Read]:
    """A reader of a path, or of an artifact, that raises ArtifactError where that holds something else."""

    @wraps(read)
    def reads(place: Place, /, *more: More.args, **named: More.kwargs) -> Read:
        try:
            return read(place, *more, **named)
        except OTHERWISE as error:
            raise ArtifactError(
                f"{getattr(place, 'folder', place)} does not hold what it should: "
                f"{type(error).__name__}: {str(error)[:300]}",
                hint="another program wrote it: move the artifact elsewhere, the next run makes it again; "
                "or serve another release with `freshet rollback`",
            ) from error

    return reads
