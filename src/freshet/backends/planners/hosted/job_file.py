"""What is known of fine-tuning jobs that were begun: `hosted/<name>.json` in the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from freshet.backends.planners.endpoint.server_card import read_server_card
from freshet.core.errors import ArtifactError
from freshet.storage.durable import read_json, write_json

FOLDER = "hosted"


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job that was begun, or is about to be.

    Attributes:
        name: of the job, by its examples and all that decides what comes of them.
        role: folder of the model that it is for, which tells the holdout model from the other.
        recipe: of the tuner.
        until: the moment before which its examples lie, an ISO date.
        form: in which its examples are worded.
        examples, tokens: of the file, in one pass.
        job: the server's id; '' as long as it isn't known whether the server has one.
        model: the fine-tuned one, once it is there.
    """

    name: str
    role: str
    recipe: str
    until: str
    form: str
    examples: int
    tokens: int
    job: str = ""
    model: str = ""


class JobFiles:
    """The jobs of a workspace.

    Args:
        root: of the workspace.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, job: JobFile) -> None:
        """Write it down, durably."""
        write_json(self._path(job), asdict(job))

    def drop(self, job: JobFile) -> None:
        """Forget a job of which nothing comes."""
        self._path(job).unlink(missing_ok=True)

    def find(self, role: str, recipe: str, until: str, days: int) -> JobFile | None:
        """A job begun for the same model at most so many days earlier, which none was made of yet.

        Its examples end a little earlier, which is no harm; that it would be paid twice is one.
        """
        used = set(self._used())
        for job in sorted(self._all(), key=lambda one: one.until, reverse=True):
            alike = (job.role, job.recipe) == (role, recipe) and job.until <= until
            if alike and _days(job.until, until) < days and (not job.model or job.model not in used):
                return job
        return None

    def named(self, name: str) -> JobFile | None:
        """The job of a name."""
        return next((job for job in self._all() if job.name == name), None)

    def _all(self) -> Iterator[JobFile]:
        for path in sorted((self._root / FOLDER).glob("*.json")):
            content = read_json(path)
            try:
                yield JobFile(**content)
            except TypeError as error:
                raise ArtifactError(
                    f"{path} can't be read: {error}",
                    hint="move it away; the job that it names would then be paid again",
                ) from None

    def _used(self) -> Iterator[str]:
        """Fine-tuned models that a model artifact of the workspace is."""
        for path in (self._root / "models").glob("*/*/freshet.json"):
            try:
                yield read_server_card(path.parent).model
            except ArtifactError:  # of another kind of planner
                continue

    def _path(self, job: JobFile) -> Path:
        return self._root / FOLDER / f"{job.name}.json"


def _days(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days
