"""`freshet import` and `run` on event files in a bucket: the settings name them by URL."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from tests.cli.conftest import answered, called
from tests.servers import Bucket

HEAD = "user_id,item_id,timestamp\n"


def _write(s3: Bucket, key: str, text: str) -> None:
    obstore.put(from_url(s3.url), key, text.encode())


def test_settings_and_commands_take_urls(s3: Bucket, tmp_path: Path) -> None:
    _write(s3, "log/date=2024-01-01/a.csv", HEAD + "u1,i1,2024-01-01T10:00:00Z\n,i1,2024-01-01T10:00:00Z\n")
    _write(s3, "items.csv", "item_id,title\ni1,One\n")
    made = answered("init", tmp_path / "w", "--events", f"{s3.url}/log", "--items", f"{s3.url}/items.csv")
    assert made["chosen"]["events"]["files"] == [f"{s3.url}/log"]
    done = answered("import", "-w", tmp_path / "w")
    (file,) = done["files"]
    assert (file["source"], file["rows"], file["added"]) == (f"{s3.url}/log", 2, 1)
    assert file["quarantined"] == {"missing user": 1}
    assert done["items"]["sources"] == [f"{s3.url}/items.csv"]
    _write(s3, "log/date=2024-01-02/a.csv", HEAD + "u1,i1,2024-01-02T10:00:00Z\n")
    _write(s3, "log/_SUCCESS", "")
    (again,) = answered("import", "-w", tmp_path / "w")["files"]
    assert (again["added"], again["duplicates"]) == (1, 1)
    assert again["unread"] == [{"path": f"{s3.url}/log/_SUCCESS", "why": "hidden"}]


def test_a_log_is_behind_until_the_refused_object_is_repaired(s3: Bucket, tmp_path: Path) -> None:
    _write(s3, "day.csv", HEAD + ",i1,2024-01-01\n")
    (tmp_path / "freshet.toml").write_text(f'[events]\nfiles = ["{s3.url}/day.csv"]\n')
    problem = answered("import", "-w", tmp_path, code=2)["error"]
    assert f"{s3.url}/day.csv: none of its 1 rows can be used" in problem["message"]
    assert f"{s3.url}/day.csv" in called("status", "-w", tmp_path).stdout
    _write(s3, "day.csv", HEAD + "u1,i1,2024-01-01\n")
    answered("import", "-w", tmp_path)
    assert f"{s3.url}/day.csv" not in called("status", "-w", tmp_path).stdout


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s4://lake/x.csv", "nothing is read from s4://"),
        ("https://example.org/x.csv", "https"),
        ("s3:///x", "bucket"),
    ],
)
def test_other_urls_are_refused(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "freshet.toml").write_text("")
    assert said in answered("import", "-w", tmp_path, url, code=2)["error"]["message"]
