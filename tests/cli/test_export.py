"""`freshet export` and `freshet import --impressions` as people and programs call them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import answered, called

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def documented(command: str) -> set[str]:
    text = DOCS.read_text(encoding="utf-8")
    section = re.search(rf"## {command}\n(.*?)\n## ", text, re.DOTALL)
    shared = re.search(r"## JSON\n(.*?)\n## ", text, re.DOTALL)
    assert section
    assert shared
    return {*re.findall(r"`(\w+)`", section[1] + shared[1])}


def keys(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(keys, value))
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()


def test_a_release_is_given_to_named_places(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = answered("export", "-w", copy, "--to", "out/shop.freshet", "--to", tmp_path / "parquet")
    assert keys(found) - documented("freshet export") == set()
    assert [one["target"] for one in found["written"]] == ["out/shop.freshet", str(tmp_path / "parquet")]
    assert (tmp_path / "out" / "shop.freshet").stat().st_size == found["written"][0]["bytes"]
    assert not (copy / "out").exists()
    assert not (copy / "exports").exists()
    told = called("export", "-w", copy, "--to", "parquet", "--release", "1")
    assert re.search(r"release 1 is in \S+/parquet/release-1-\w+: [\d,]+ rows", told.stdout)
    assert json.loads((tmp_path / "parquet" / "CURRENT.json").read_text())["release"]["number"] == 1


def test_places_of_the_settings_lie_from_the_workspace(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = copy / "freshet.toml"
    settings.write_text(
        settings.read_text() + '\n[export]\nto = ["shop.freshet"]\nwebhook = "http://127.0.0.1:1/x"\n'
    )
    for arguments in ([], ["--to", "shop.freshet"]):
        answered("export", "-w", copy, *arguments)
        assert (copy / "shop.freshet").exists()
        assert not (tmp_path / "shop.freshet").exists()
    status = answered("status", "-w", copy)
    assert (
        keys({name: status[name] for name in ("exports", "webhook")}) - documented("freshet status") == set()
    )
    assert (status["exports"][0]["release"], status["exports"][0]["due"]) == (2, False)
    shown = called("status", "-w", copy).stdout
    assert "export: shop.freshet has release 2" in shown
    assert "webhook: http://127.0.0.1:1/... was told nothing yet" in shown


def test_nowhere_and_no_place_are_told(copy: Path) -> None:
    assert "nowhere to export to" in answered("export", "-w", copy, code=2)["error"]["message"]
    assert "is no place" in answered("export", "-w", copy, "--to", "ftp://x/y", code=2)["error"]["message"]
    assert (
        answered("export", "-w", copy, "--to", "x", "--release", "99", code=2)["error"]["type"]
        == "ArtifactError"
    )


def test_impressions_come_in(copy: Path, tmp_path: Path) -> None:
    rows = "".join(f"a{n},u{n},2024-02-25T10:00:00Z,0,0.5,{n % 3}\n" for n in range(40))
    path = tmp_path / "shown.csv"
    path.write_text("id,user_id,timestamp,interest,p,context\n" + rows + "a99,u1,2024-02-25T10:00:00Z,0,7,\n")
    found = answered("import", "-w", copy, "--impressions", path, "--column", "propensity=p")
    (report,) = found["impressions"]
    assert (report["rows"], report["added"], report["quarantined"]) == (
        41,
        40,
        {"propensity outside of (0, 1]": 1},
    )
    report["quarantined"] = {}
    assert keys(found) - documented("freshet import") == set()
    told = called("import", "-w", copy, "--impressions", path, "--column", "propensity=p")
    assert "41 rows, 0 new, 40 known, 1 in quarantine; 0 outcomes" in told.stdout
    for wrong in (["--column", "colour=red"], ["--replace"]):
        answered("import", "-w", copy, "--impressions", path, *wrong, code=2)
    answered("import", "-w", copy, "--column", "propensity=p", code=2)
