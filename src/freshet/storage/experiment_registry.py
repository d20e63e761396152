"""The experiments of a workspace: what was started, and stopped, each written once; and what arms serve."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.time import datetime_of
from freshet.core.types import STRATEGIES, Experiment, ExperimentArm, MeasurementRules, MetricRule, Serves
from freshet.storage.durable import read_json, write_json, write_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_STARTED, _STOPPED, _POINTER = "started.json", "stopped.json", ".release"


_READER = TypeAdapter(Experiment)


class Experiments:
    """All experiments of a workspace.

    Args:
        root: the workspace folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "experiments"

    def all(self) -> list[Experiment]:
        """Every experiment, in order of their start.

        Raises:
            ArtifactError: a file is damaged.
        """
        found, damaged = self.found()
        if damaged:
            raise next(iter(damaged.values()))
        return found

    def found(self) -> tuple[list[Experiment], dict[str, ArtifactError]]:
        """Every experiment that can be read, by `precedence`; and by name why others can't."""
        found, damaged = [], {}
        for path in sorted(self._folder.glob(f"*/{_STARTED}")):
            try:
                found.append(self._read(path.parent))
            except ArtifactError as error:
                damaged[path.parent.name] = error
        return sorted(found, key=lambda one: one.precedence), damaged

    def running(self) -> tuple[Experiment, ...]:
        """Those that were not stopped, in order of their start: the order in which they get users.

        One that can't be read doesn't run; `found` says so.
        """
        return tuple(one for one in self.found()[0] if one.running)

    def stopped(self, name: str) -> bool:
        """Whether an experiment was stopped, even where its files are damaged."""
        return (self._folder / names.checked(name, "experiment") / _STOPPED).exists()

    def get(self, name: str) -> Experiment:
        """Raises ConfigError if there is no such experiment."""
        if not _NAME.fullmatch(name) or not (self._folder / name / _STARTED).exists():
            known = ", ".join(one.name for one in self.all()) or "none"
            raise ConfigError(f"there is no experiment {name!r}", hint=f"experiments: {known}")
        return self._read(self._folder / name)

    def start(self, experiment: Experiment) -> None:
        """Write a new one.

        Raises:
            ConfigError: it is not sound, or one of that name exists.
        """
        if not _NAME.fullmatch(experiment.name):
            raise ConfigError(
                f"an experiment can't be called {experiment.name!r}",
                hint="letters, digits, - and _, 64 at most",
            )
        check(experiment)
        path = self._folder / experiment.name / _STARTED
        content = experiment.as_dict()
        for stopped in ("stop", "reason"):
            del content[stopped]
        content["arms"] = [asdict(arm) | {"serves": str(arm.serves)} for arm in experiment.arms]
        try:
            write_json(path, content, exclusive=True)
        except FileExistsError:
            raise ConfigError(f"experiment {experiment.name!r} exists", hint="names are used once") from None

    def check_running(self, name: str) -> Experiment:
        """The experiment; raises ConfigError if there is none, or it was stopped."""
        found = self.get(name)
        if not found.running:
            raise ConfigError(f"experiment {name!r} was stopped already", hint=found.reason)
        return found

    def stop(self, name: str, moment: int, reason: str) -> Experiment:
        """End one, for good.

        Args:
            moment: microseconds since 1970 (UTC).

        Raises:
            ConfigError: there is none, or it was stopped before.
        """
        found = self.check_running(name)
        try:
            write_json(self._folder / name / _STOPPED, {"stop": moment, "reason": reason}, exclusive=True)
        except FileExistsError:
            raise ConfigError(
                f"experiment {name!r} was stopped already", hint="by another just now"
            ) from None
        return replace(found, stop=moment, reason=reason)

    def point(self, name: str, arm: str, number: int) -> None:
        """Name the release that a isolated arm serves from now on, in one step."""
        write_text(self.pointer_path(name, arm), f"{number}\n")

    def pointer_path(self, name: str, arm: str) -> Path:
        """The file that names the release of a isolated arm."""
        return self._folder / name / f"{arm}{_POINTER}"

    def pointer(self, experiment: Experiment, arm: str) -> int:
        """Number of the release that a isolated arm serves: that of the start until it has one of its own.

        Raises:
            ArtifactError: the file that says so is damaged.
        """
        path = self.pointer_path(experiment.name, arm)
        if not path.exists():
            return experiment.began
        try:
            number = names.number(path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError):
            number = None
        if number is None:
            raise ArtifactError(
                f"{path} is damaged, expected the number of a release", hint="stop the experiment"
            )
        return number

    def stamp(self) -> tuple[tuple[str, int], ...]:
        """Changes whenever an experiment starts, stops or gives an arm a release: cheap to look at."""
        try:
            folders = sorted(path for path in self._folder.iterdir() if path.is_dir())
        except FileNotFoundError:
            return ()
        return tuple((path.name, path.stat().st_mtime_ns) for path in folders)

    def _read(self, folder: Path) -> Experiment:
        stopped = folder / _STOPPED
        try:
            started: dict[str, Any] = dict(read_json(folder / _STARTED))
            ended: dict[str, Any] = dict(read_json(stopped)) if stopped.exists() else {}
            arms = tuple(
                ExperimentArm(arm["name"], float(arm["share"]), parse_serves(arm["serves"]))
                for arm in started.pop("arms")
            )
            metrics = tuple(started.pop("metrics"))
            if started["name"] != folder.name or not all(_NAME.fullmatch(arm.name) for arm in arms):
                raise ValueError("its name, or that of an arm, is another")
            isolated, rules = (
                started.pop("separated", False),
                _rules(started.pop("judging", None)),
            )  # older: none
            found = Experiment(arms=arms, metrics=metrics, isolated=isolated, rules=rules, **started, **ended)
            return _sound(found)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, ConfigError) as error:
            raise ArtifactError(
                f"{folder / _STARTED} is no experiment that this Freshet can read: {error}",
                hint="it is damaged, or was written by a newer Freshet",
            ) from None


def _sound(read: Experiment) -> Experiment:
    """An experiment whose values are of the types, and in the ranges, that it was started with.

    Raises:
        ValueError, OverflowError, ConfigError: one is not.
    """
    found = _READER.validate_python(asdict(read))
    check(found)
    for moment in (found.start, found.stop or 0):
        datetime_of(moment)
    return found


def _rules(stored: dict[str, Any] | None) -> MeasurementRules | None:
    if stored is None:
        return None
    return MeasurementRules(**{**stored, "metrics": tuple(MetricRule(**one) for one in stored["metrics"])})


def parse_serves(text: str) -> Serves:
    """What an arm serves, as a person writes it: `follow`, `release:12`, a strategy, `release:12/counts`.

    Raises:
        ConfigError: it is none of these.
    """
    which, slash, strategy = text.partition("/")
    if not slash and which in STRATEGIES and which != "published":
        which, strategy = "follow", which
    strategy = strategy if slash or strategy else "published"
    fixed = re.fullmatch(r"release:([1-9][0-9]{0,8})", which)
    known = next((one for one in STRATEGIES if one == strategy), None)
    if known is None or not (fixed or which == "follow"):
        raise ConfigError(
            f"an arm can't serve {text!r}",
            hint=f"follow, release:12, one of {', '.join(STRATEGIES[1:])}, or release:12/counts",
        )
    return Serves(int(fixed[1]) if fixed else None, known)


def check(experiment: Experiment) -> None:
    """Raises ConfigError where arms, shares, traffic or metrics make no experiment."""
    names = [arm.name for arm in experiment.arms]
    shares = [arm.share for arm in experiment.arms]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"arms {', '.join(names)}", hint="an experiment needs two or more, named differently"
        )
    if not all(_NAME.fullmatch(name) for name in names):
        raise ConfigError(f"arms {', '.join(names)}", hint="letters, digits, - and _ make a name")
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ConfigError(f"shares of {', '.join(map(str, shares))}", hint="each above 0, 1 in all")
    if not 0 < experiment.traffic <= 1:
        raise ConfigError(f"traffic of {experiment.traffic}", hint="above 0, and 1 (all users) at most")
    if experiment.days < 1:
        raise ConfigError(f"a planned length of {experiment.days} days", hint="one day or more")
    if not experiment.metrics:
        raise ConfigError("an experiment without a metric", hint="such as --metric satisfied")
