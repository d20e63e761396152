"""`freshet settings --set` where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.cli import app


def test_settings_that_are_wrong_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text("[table]\nno_such_key = 1\n")
    new = tmp_path / "new.toml"
    new.write_text("[interests]\ncount = 7\n")
    assert app.run(["settings", "-w", str(tmp_path)]) == 2
    assert app.run(["settings", "-w", str(tmp_path), "--set", str(new)]) == 0
    assert (tmp_path / "freshet.toml").read_text() == new.read_text()


def test_a_file_that_is_not_there_is_no_lack_of_a_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "freshet.toml").write_text("")
    assert app.run(["settings", "-w", str(tmp_path), "--set", str(tmp_path / "typo.toml")]) == 2
    said = capsys.readouterr().err
    assert "typo.toml not found" in said
    assert "freshet init" not in said
