"""Load, change and save by processes that meet: nothing is lost, nothing comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from freshet.cli import app
from freshet.core.errors import ConfigError
from freshet.http.api_keys import change_keys, load_keys, make_key, revoke
from freshet.storage.durable import locked

pytestmark = pytest.mark.slow

ADD = """
import sys, time
from pathlib import Path
from freshet.cli import app
root, number = Path(sys.argv[1]), sys.argv[2]
app.run(["keys", "list", "-w", str(root)])  # everything is imported
(root / f"ready-{number}").touch()
while not (root / "go").exists():
    time.sleep(0.001)
for _ in range(8):
    assert app.run(["keys", "add", "-w", str(root), "--name", number]) == 0
"""


def test_keys_of_processes_that_meet_are_all_kept_and_a_revoked_one_stays_away(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text("")
    old, _ = make_key("admin", "old", "2024-01-01")
    change_keys(tmp_path, lambda known: {**known, old.id: old})
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, str(tmp_path), str(number)], stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    while len(list(tmp_path.glob("ready-*"))) < len(adding):
        assert all(process.poll() is None for process in adding)
    (tmp_path / "go").touch()
    assert app.run(["keys", "revoke", "-w", str(tmp_path), old.id]) == 0
    assert [process.wait(120) for process in adding] == [0, 0, 0]
    for process in adding:
        process.stdout.close()
    kept = load_keys(tmp_path)
    assert old.id not in kept
    assert sorted(key.name for key in kept.values()) == sorted("012" * 8)


def test_a_change_that_raises_leaves_the_keys_and_the_next_one_has_its_turn(tmp_path: Path) -> None:
    one, _ = make_key("read", "one", "2024-01-01")
    change_keys(tmp_path, lambda _: {one.id: one})
    for wrong in ("nobody", "../" + one.id):
        with pytest.raises(ConfigError, match="there is no key"):
            change_keys(tmp_path, lambda known, wrong=wrong: revoke(known, wrong))
    assert load_keys(tmp_path) == {one.id: one}


HOLD = """
import sys, time
from pathlib import Path
from freshet.storage.durable import locked
with locked(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def test_a_lock_ends_with_its_process_and_leaves_no_file(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "in\n"
    other.kill()
    other.communicate()
    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


START = """
import sys
from pathlib import Path
from dataclasses import replace
from freshet.core.errors import ConfigError
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.storage.experiment_registry import Experiments
arms = (ExperimentArm("a", 0.5, Serves(None, "published")), ExperimentArm("b", 0.5, Serves(1, "published")))
made = Experiment("x", "salt", arms, 1.0, ("satisfied",), 5, 1, 7, False)
done = 0
for n in range(40):
    try:
        Experiments(Path(sys.argv[1])).start(replace(made, name=f"x{n}"))
        done += 1
    except ConfigError as error:
        assert "exists" in error.message
print(done)
"""


def test_a_name_of_an_experiment_is_given_to_one_of_those_who_ask(tmp_path: Path) -> None:
    asking = [
        subprocess.Popen([sys.executable, "-c", START, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sum(int(process.communicate(timeout=120)[0]) for process in asking) == 40
