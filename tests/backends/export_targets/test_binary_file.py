"""The binary layout: read by a program in another language, which answers what the table answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from freshet import pipeline
from freshet.backends.export_targets.binary_file import BinaryTarget
from freshet.backends.export_targets.file_places import FolderPlace
from freshet.core.errors import ExportError
from freshet.core.ports import GivenRelease, silent
from freshet.exports.given import open_given
from freshet.stages import interests
from freshet.stages.table import Table
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, refreshed, settings, workspace

READER = Path(__file__).parents[3] / "examples" / "freshet_table.mjs"
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
ASK = """
import { readFileSync } from "node:fs";
const { FreshetTable } = await import(process.argv[2]);
const table = new FreshetTable(process.argv[3]);
const asked = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({ about: table.about, answers: asked.map((context) => table.lookUp(context)) }));
"""


def ask(file: Path, contexts: list[list[int]], folder: Path) -> dict:
    """What the reader answers."""
    script = folder / "ask.mjs"
    script.write_text(ASK)
    done = subprocess.run(
        ["node", str(script), str(READER), str(file)],
        input=json.dumps(contexts), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


def released(root: Path, world: Path, k: int, extra: str) -> tuple[Workspace, GivenRelease, Table]:
    """A workspace with a release; some interests may not be offered."""
    ws = workspace(root, settings(world, k=k, extra=extra))
    refreshed(ws)
    pipeline.refresh(ws, FIRST, publish=True)
    release = ws.releases.current()
    assert release is not None
    parts = parts_of(ws.store, release)
    return ws, open_given(ws, release), Table(parts.table.path, len(interests.load(parts.interests.path)))


BLOCKED = '[table]\nblocked = ["1", "2"]\nwithdrawn = ["3"]\nsensitive = ["4"]'
SPARSE = "[table]\nrows = 40"
"""Of 90 pairs some have a row, the others are answered by their last interest."""


def test_the_reader_has_under_40_lines() -> None:
    assert len(READER.read_text().splitlines()) < 40


@NODE
@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "extra"), [(1, ""), (2, BLOCKED), (2, SPARSE), (3, BLOCKED + "\nwidth = 4"), (3, "")]
)
def test_a_reader_in_javascript_answers_what_the_table_answers(
    tmp_path: Path, world: Path, k: int, extra: str
) -> None:
    _, given, table = released(tmp_path / "ws", world, k, extra)
    wrote = BinaryTarget(FolderPlace(tmp_path / "out"), "shop.freshet").write(given, silent)
    file = tmp_path / "out" / "shop.freshet"
    assert wrote.bytes == file.stat().st_size
    assert [path.name for path in file.parent.iterdir()] == ["shop.freshet"]
    ids = given.ids.tolist()
    unknown = max(ids) + 7
    contexts = [
        list(context)
        for length in range(4)  # longer than k, with repetitions, and with ids that the release lacks
        for context in product(range(len(ids) + 1), repeat=length)
    ]
    named = [[(*ids, unknown)[index] for index in context] for context in contexts]
    found = ask(file, named, tmp_path)
    assert found["about"]["number"] == 1
    assert found["about"]["descriptions"] == list(given.descriptions)
    rows = 0
    for context, asked, answer in zip(contexts, named, found["answers"], strict=True):
        row = table.look_up(tuple(context))
        assert answer["answered"] == asked[len(asked) - len(row.answered) :]
        assert [id_ for id_, _ in answer["successors"]] == [ids[i] for i in row.successors]
        assert np.array_equal(np.array([s for _, s in answer["successors"]], np.float32), row.fused)
        assert answer["successors"]
        rows += row.answered == row.asked
    assert rows >= len(given.contexts)  # contexts that repeat an interest at the end have none


@NODE
@pytest.mark.slow
def test_a_damaged_file_is_refused_by_the_reader(tmp_path: Path, world: Path) -> None:
    _, given, _ = released(tmp_path / "ws", world, 1, "")
    BinaryTarget(FolderPlace(tmp_path), "shop.freshet").write(given, silent)
    file = tmp_path / "shop.freshet"
    whole = file.read_bytes()
    ask(file, [[]], tmp_path)
    for damaged in (whole[:-1], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b"x" + whole[1:]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged, or no table of version 1"):
            ask(file, [[]], tmp_path)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_told_and_keeps_what_it_has(tmp_path: Path, world: Path) -> None:
    _, given, _ = released(tmp_path / "ws", world, 1, "")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ExportError, match="can't be written"):
        BinaryTarget(FolderPlace(tmp_path / "file"), "shop.freshet").write(given, silent)
    assert (tmp_path / "file").read_text() == "not a folder"
