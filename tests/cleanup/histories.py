"""Workspaces of small artifacts with a random history, which knows what each release was made with."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from freshet.backends.local_store import LocalStore
from freshet.core.config import Config
from freshet.core.time_scales import Pace
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.stages.transitions.format import Counted, write_counted
from freshet.storage.ledger import Run
from freshet.storage.manifests import (
    AssignmentManifest,
    Catalogue,
    ContentManifest,
    FromAssignment,
    FromCatalogue,
    FromEvents,
    FromInterests,
    FromItemModel,
    FromModel,
    FromTable,
    FromTransitions,
    GatesManifest,
    InterestsManifest,
    ItemModelManifest,
    Manifest,
    ModelManifest,
    OverlayManifest,
    RankerManifest,
    SequenceManifest,
    TableManifest,
    TextsManifest,
    TransitionsManifest,
)
from freshet.storage.rollback import roll_back
from freshet.storage.workspace import Workspace

Name = tuple[str, str]


class History:
    """Refreshes, trainings, rollbacks and experiments in a random order.

    Attributes:
        made_with: release -> all artifacts that it is opened and made again with.
    """

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.ws = Workspace(root, Config(), LocalStore(root), None)
        self.rng = rng
        self.day = 0
        self.count = 0
        self.made_with: dict[int, set[Name]] = {}
        self.arms: dict[str, set[int]] = {}
        self.interests = self.items = self.assignment = self.model = self.sequence = ""
        self.tables: list[str] = []
        self._form()
        self._publish()

    def go_on(self) -> None:
        """One more thing happens."""
        self.day += 1
        choice = self.rng.choice(["publish"] * 6 + ["back", "tune", "form", "start", "stop", "arm", "halt"])
        if choice == "publish":
            self._publish()
        elif choice == "back":
            number = self.rng.choice([n for n in self.made_with if not self.ws.releases.get(n).arm])
            with self.ws.run(f"rollback {number}") as run:
                roll_back(self.ws, run, self.ws.releases.get(number))
        elif choice == "tune":
            self._tune()
        elif choice == "form":
            self._form()
        elif choice == "halt":
            self._halt()
        else:
            self._experiment(choice)

    def releases(self, before: int) -> set[int]:
        """Numbers of releases that have to stay."""
        current = self.ws.releases.current()
        assert current is not None
        served = [n for n in self.made_with if not self.ws.releases.get(n).arm]
        found = {n for n in served if n >= current.number} | set(
            [n for n in served if n < current.number][-before:]
        )
        found |= {current.previous} if current.previous else set()
        return found.union(*self.arms.values())

    def needed(self, before: int) -> set[Name]:
        """Artifacts that have to stay."""
        found: set[Name] = set().union(*(self.made_with[n] for n in self.releases(before)))
        return found | {("models", self.model)} if self.model else found

    def _put(self, kind: str, manifest: Manifest) -> str:
        self.count += 1
        version = f"{kind}{self.count:04d}"
        with self.ws.store.create(kind, version) as draft:
            (draft.path / "data").write_text(version)
            if kind == "transitions":
                write_counted(Counted({}, {}, {}), draft.path)
            draft.manifest = manifest.as_dict()
        return version

    @property
    def _as_of(self) -> str:
        return f"2024-{1 + self.day // 28:02d}-{1 + self.day % 28:02d}"

    def _form(self) -> None:
        self.items = self._put(
            "items", Catalogue(rows=1, items=1, duplicates=0, quarantined={}, without_text=0, notes=[])
        )
        pace = Pace(1.0, 1)
        self.interests = self._put(
            "interests",
            InterestsManifest(
                as_of=self._as_of, config={}, inputs=FromEvents(events="e", items=self.items),
                lineage="l", pace=pace, summary={},
            ),
        )  # fmt: skip
        self.assignment = self._put(
            "assignments",
            AssignmentManifest(inputs=FromInterests(interests=self.interests, items=self.items), summary={}),
        )
        self.model = self.sequence = ""
        self.tables = []

    def _count(self) -> str:
        return self._put(
            "transitions",
            TransitionsManifest(
                as_of=self._as_of, settings={"interests": self.interests},
                inputs=FromAssignment(events="e", assignment=self.assignment), summary={},
            ),
        )  # fmt: skip

    def _tune(self) -> None:
        inputs = FromTransitions(transitions=self._count(), interests=self.interests)
        shared: dict[str, Any] = {"as_of": self._as_of, "settings": {}, "inputs": inputs}
        with self.ws.run("finetune") as run:
            self.model = self._put("models", ModelManifest(**shared, tuned_before="x", examples=1, base="b"))
            gates = self._put("gates", GatesManifest(model=self.model, settings={}, report={}))
            self.sequence = self._put("sequences", SequenceManifest(**shared, trained_before={}, passes=1.0))
            self._steps(run, {("models", self.model), ("gates", gates)})

    def _made(self) -> tuple[dict[str, str], set[Name]]:
        """A table with all beside it: versions by kind, and everything it is made with."""
        counted = self._count()
        texts = self._put("texts", TextsManifest(inputs=FromCatalogue(items=self.items), summary={}))
        content = self._put(
            "content",
            ContentManifest(
                as_of=self._as_of, learned_before={}, texts=texts, summary={},
                inputs=FromAssignment(events="e", assignment=self.assignment),
            ),
        )  # fmt: skip
        previous = self.tables[-1] if self.tables else ""
        inputs = FromModel(
            transitions=counted, interests=self.interests, model=self.model, previous=previous,
            sequence=self.sequence, content=content,
        )  # fmt: skip
        table = self._put(
            "tables",
            TableManifest(
                as_of=self._as_of, k=2, rows=1, window=["a", "b"], settings={}, inputs=inputs, planner=""
            ),
        )
        self.tables.append(table)
        from_table = FromTable(transitions=counted, interests=self.interests, table=table)
        overlay = self._put(
            "overlays",
            OverlayManifest(as_of=self._as_of, settings={}, pays=False, why="", inputs=from_table),
        )
        learned = self._put(
            "itemmodels",
            ItemModelManifest(
                as_of=self._as_of, settings={}, judged={},
                inputs=FromTransitions(transitions=counted, interests=self.interests),
            ),
        )  # fmt: skip
        ranker = self._put(
            "rankers",
            RankerManifest(
                as_of=self._as_of, items=1, new=0,
                inputs=FromItemModel(itemmodel=learned, transitions=counted, interests=self.interests),
            ),
        )  # fmt: skip
        found = {"tables": table, "overlays": overlay, "rankers": ranker}
        names = {
            ("tables", table), ("transitions", counted), ("interests", self.interests), ("items", self.items),
            ("assignments", self.assignment), ("content", content), ("texts", texts), ("overlays", overlay),
            ("rankers", ranker), ("itemmodels", learned), ("models", self.model),
            ("sequences", self.sequence), ("tables", previous),
        }  # fmt: skip
        return found, {name for name in names if name[1]}

    def _publish(self, arm: str = "") -> int:
        found, names = self._made()
        with self.ws.run("refresh", self._as_of) as run:
            release = self.ws.releases.publish(
                self._as_of, found["tables"], self.model, self.interests, run.record.id, found["overlays"],
                found["rankers"], arm,
            )  # fmt: skip
            self._steps(run, {(kind, version) for kind, version in found.items()})
            run.record.release = release.number
        self.made_with[release.number] = names
        return release.number

    def _halt(self) -> None:
        found, _ = self._made()
        with self.ws.run("run", self._as_of) as run:
            self._steps(run, {("tables", found["tables"])})
            run.end("waiting")

    def _experiment(self, choice: str) -> None:
        running = list(self.arms)
        current = self.ws.releases.pointer()
        assert current is not None
        if choice == "start" and not running:
            fixed = self.rng.choice(self.ws.releases.numbers())
            name = f"try{self.day}"
            arms = (ExperimentArm("a", 0.5, Serves(fixed)), ExperimentArm("b", 0.5, Serves()))
            self.ws.experiments.start(
                Experiment(name, "salt", arms, 1.0, ("satisfied",), 1, current, isolated=True)
            )
            self.arms[name] = {fixed, current}
        elif choice == "stop" and running:
            self.ws.experiments.stop(running[0], 2, "enough")
            del self.arms[running[0]]
        elif choice == "arm" and running:
            number = self._publish(f"{running[0]}/b")
            self.ws.experiments.point(running[0], "b", number)
            (experiment,) = self.ws.experiments.running()
            fixed = experiment.arms[0].serves.release
            assert fixed is not None
            self.arms[running[0]] = {fixed, experiment.began, number}

    @staticmethod
    def _steps(run: Run, names: set[Name]) -> None:
        for kind, version in sorted(names):
            with run.step(kind) as step:
                step.artifact = f"{kind}/{version}"
