"""No id or name leads out of its folder, whoever gives it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.cli import app
from freshet.core.config import Config, PricesConfig
from freshet.core.errors import ArtifactError, ConfigError, FreshetError
from freshet.core.safe_names import checked, checked_path, number
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.storage.checksums import verify
from freshet.storage.durable import write_json, write_text, written
from freshet.storage.experiment_registry import Experiments, parse_serves
from freshet.storage.lease import lease
from freshet.storage.ledger import Ledger, Quiet
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace

NOT_NAMES = (
    "", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\n", "-x", ".hidden", "é", "x" * 129, "a b",
)  # fmt: skip
NOT_NUMBERS = (
    "", "..", "../../other/runs/00001", "/etc/passwd", "²", "٣", "-1", "+1", "1.0", " 1", "1\n", "0x1", "1e3",
    "9" * 5000, "1_0",
)  # fmt: skip


@pytest.mark.parametrize("text", NOT_NAMES)
def test_what_is_no_name_is_refused_in_short_words(text: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no version") as refused:
        checked(text, "version of an artifact")
    assert len(refused.value.message) < 150
    with pytest.raises(ArtifactError), LocalStore(tmp_path).create("tables", text):
        pass
    with pytest.raises(ArtifactError):
        LocalStore(tmp_path).find(text, "v1")
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_used_pass() -> None:
    for text in ("0d0b3a8142b53d48", "v1", "tables", "rag-refresh", "a.b_c", "2024-01-01"):
        assert checked(text, "name") == text
    assert checked_path("text/idf.npy", "file") == "text/idf.npy"
    for text in ("", "/x", "../x", "a//b", "a/../b", "a/./b", "a\0", "a/b\n"):
        with pytest.raises(ArtifactError):
            checked_path(text, "file")


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_no_number_opens_no_file(text: str, tmp_path: Path) -> None:
    assert number(text) is None
    other = tmp_path / "other" / "runs"
    ws = tmp_path / "shop"
    with lease(other.parent / "LEASE", "run") as held:
        Ledger(other.parent).start("run", "", PricesConfig(), Quiet(), held)
    (ws / "runs").mkdir(parents=True)
    (ws / "freshet.toml").write_text("")
    with pytest.raises(ArtifactError, match="there is no run") as refused:
        Ledger(ws).get(text)
    assert len(str(refused.value)) < 200
    write_text(ws / "CURRENT", text)
    assert Releases(ws).pointer() in ((None,) if text.strip() not in ("1",) else (1,))
    (ws / "CURRENT").unlink()
    if "\n" not in text:
        for command in (["history"], ["approve"], ["reject"], ["rollback"]):
            assert app.run([*command, "-w", str(ws), "--", text]) == 2


def test_a_run_is_found_with_its_leading_zeros_and_without(tmp_path: Path) -> None:
    with lease(tmp_path / "LEASE", "run") as held:
        Ledger(tmp_path).start("run", "", PricesConfig(), Quiet(), held)
    for text in ("00001", "1", "001", "0000001"):
        assert Ledger(tmp_path).get(text).id == "00001"


def test_files_of_an_artifact_lie_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "made").mkdir()
    for name in ("../secret", str(tmp_path / "secret"), "a/../../secret", ""):
        with pytest.raises(ArtifactError, match="is no file of an artifact"):
            verify(tmp_path / "made", {name: "0"})


def test_a_release_that_names_a_path_or_another_number_is_damaged(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    good = releases.publish("2024-01-01", "t", "m", "i", "00001").as_dict()
    for wrong in ({"number": 7}, {"table": 5}, {"as_of": "../x"}, {"previous": "1"}, {"as_of": None}):
        write_json(tmp_path / "releases" / "1.json", good | wrong)
        with pytest.raises(ArtifactError, match="no release that this Freshet can read"):
            releases.get(1)
    write_json(tmp_path / "releases" / "1.json", good | {"table": "../../other/tables/x"})
    with pytest.raises(ArtifactError, match="is no version of an artifact"):
        Workspace(tmp_path, Config(), LocalStore(tmp_path), None).store.find("tables", releases.get(1).table)


def test_experiments_and_arms_keep_to_their_folder(tmp_path: Path) -> None:
    arms = (
        ExperimentArm("a", 0.5, Serves(None, "published")),
        ExperimentArm("b", 0.5, Serves(1, "published")),
    )
    experiments = Experiments(tmp_path)
    experiments.start(Experiment("x", "salt", arms, 1.0, ("satisfied",), 5, 1, 7, False))
    for name in (*NOT_NAMES, "x/../x", "y\n"):
        with pytest.raises(FreshetError):
            experiments.get(name)
    file = tmp_path / "experiments" / "x" / "started.json"
    said = json.loads(file.read_text())
    for wrong in ({"name": "../y"}, {"arms": [{**said["arms"][0], "name": "../../CURRENT"}]}):
        write_json(file, said | wrong)
        with pytest.raises(ArtifactError, match="no experiment"):
            experiments.get("x")
    for text in ("release:" + "9" * 5000, "release:²", "release:../1", "release:0"):
        with pytest.raises(ConfigError):
            parse_serves(text)


def test_a_file_may_have_as_long_a_name_as_the_disk_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        with written(tmp_path / name) as aside:
            aside.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"
    assert app.run(["init", str(tmp_path / ("y" * 300))]) == 2  # too long is told, it is no bug


def test_numbers_in_options_are_told_when_they_are_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "freshet.toml").write_text("")
    assert app.run(["init", str(tmp_path / "n"), "--novelty-days", "²"]) == 2
    assert app.run(["explain", "-w", str(tmp_path), "--release", "٣"]) == 2
    assert not re.search("unexpected|Traceback", capsys.readouterr().err)
