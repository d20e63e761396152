"""Mutated `freshet.toml` files, read and used as commands do; `fuzz.py` says what must hold."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fuzz_workers
from fuzz_settings import SECRET, Settings, settings

if TYPE_CHECKING:
    from freshet.core.config import Config

LONGEST = 20_000
"""Characters of a message at most."""
ADDRESSES = (
    "endpoint",
    "servers",
    "alertmanager",
    "webhook",
    "link",
    "mlflow",
    "openlineage",
    "state",
    "to",
    "address",
)
"""Keys where a password could stand; no message may repeat it."""
NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
VARIABLES = (
    "FRESHET_ACCESS",
    "FRESHET_WEBHOOK_SECRET",
    "FRESHET_SMTP_PASSWORD",
    "FRESHET_LEASE_SECONDS",
    "RAY_ADDRESS",
)
VALUES = ("", "x", "\x1b[2J", "é", "9" * 400, "-1", "nan", "owner", "group", "everybody", "0", "a" * 40_000)
"""What variables of the environment hold, some of the time."""


def fuzz(seed: int, first: int, count: int, kept: Path) -> dict[str, Any]:
    """Read every case."""

    def save(number: int) -> dict[str, Any]:
        broke = settings(seed, number)
        path = kept / f"{number}-freshet.toml"
        path.write_bytes(broke.content)
        return {"mutations": broke.done, "file": path.name}

    return fuzz_workers.drive("configs", seed, first, count, save)


def work(seed: int, first: int, count: int) -> None:
    """Try case after case."""
    fuzz_workers.quick_commands()
    with tempfile.TemporaryDirectory(dir=fuzz_workers.scratch()) as made:
        for number in range(first, first + count):
            with fuzz_workers.watched():
                one = settings(seed, number)
                outcome, why, detail = tried(
                    one, Path(made) / "case", random.Random(f"{seed}/{number}/environment")
                )
            fuzz_workers.tell_case(number, one.form, outcome, why, detail)


def tried(one: Settings, root: Path, rng: random.Random) -> tuple[str, str, str]:
    """Outcome; what is wrong about it, '' where nothing is; details."""
    from freshet.core.config import load
    from freshet.core.errors import ConfigError

    root.mkdir(exist_ok=True)
    path = root / "freshet.toml"
    path.write_bytes(one.content)
    try:
        config = load(path)
    except ConfigError as error:
        return "refused", wrong_words(one, path, error), f"{error.message}; {error.hint}"[:400]
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "raised", _name(error), traceback.format_exc()[-1200:]
    outcome, why, detail = used(config, root, rng)
    shutil.rmtree(root, ignore_errors=True)
    return outcome, why, detail


def wrong_words(one: Settings, path: Path, error: Any) -> str:
    """What a refusal lacks or tells too much of, '' where nothing."""
    message = error.message
    if not message.startswith(str(path)) or not error.hint.strip():
        return "refused without the file or a hint"
    if one.keys and not any(_names(message, key) for key in one.keys):
        return "refused without naming the key"
    held = [key for key, done in zip(one.keys, one.done, strict=True) if SECRET in done] if one.keys else []
    if SECRET in message and any(key[-1] in ADDRESSES for key in held):
        return "a password is repeated"
    return "refused at great length" if len(message) > LONGEST else ""


def _names(message: str, key: tuple[str, ...]) -> bool:
    """A message has the key, or another of its section that does not go with it."""
    return key[-1] in message or (key[-1][:20] in message) or (len(key) > 1 and f"[{key[0]}" in message)


def used(config: Config, root: Path, rng: random.Random) -> tuple[str, str, str]:
    """Use settings that were accepted: what they say of times, and `freshet status` in an empty workspace."""
    from freshet.cli import app
    from freshet.core.errors import FreshetError

    given = {name: rng.choice(VALUES) for name in VARIABLES if rng.random() < 0.1}
    before = dict(os.environ)
    os.environ.update(given)
    said = io.StringIO()
    try:
        _read(config)
        calls = [["status", "-w", str(root), "--json"], ["schedule", "-w", str(root), "--dry-run", "2"]]
        calls += [
            ["doctor", "-w", str(root)],
            ["settings", "-w", str(root)],
            ["alerts", "-w", str(root), "--no-measure"],
        ]
        call = calls[0] if rng.random() < 0.4 else rng.choice(calls)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = app.run(["--debug", *call])
    except FreshetError as error:
        short = not error.message.strip()
        return "refused in use", "refused without words" if short else "", str(error)[:300]
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "raised", _name(error), traceback.format_exc()[-1200:]
    finally:
        os.environ.clear()
        os.environ.update(before)
    if code == 1 or "Traceback" in said.getvalue():
        return "raised", f"{call[0]}: {_last(said.getvalue())}", said.getvalue()[-1500:]
    if SECRET in said.getvalue() and call[0] != "settings":
        return "accepted", "a password is repeated", said.getvalue()[-600:]
    return ("accepted" if code in (0, 7) else "refused in use"), "", said.getvalue()[-200:]


def _read(config: Config) -> None:
    """What commands read of settings on their way."""
    from freshet.core.blackout import blackout_until
    from freshet.core.cron_times import Cron

    config.deciding()
    config.model_dump_json()
    times = config.schedule
    for text in filter(None, (times.refresh_cron, times.tune_cron, times.collect_cron)):
        cron = Cron.of(text, times.zone)
        cron.after(NOW)
        cron.until(NOW)
    blackout_until(times.windows, times.zone, NOW)


def _name(error: Exception) -> str:
    return f"raised {type(error).__module__}.{type(error).__name__}"


def _last(said: str) -> str:
    """Name of the error that a traceback ends with."""
    lines = [line for line in said.splitlines() if line[:1].isalpha() and ": " in line]
    return next(
        (line.split(":")[0] for line in reversed(lines) if not line.startswith(("error", "this is"))), "bug"
    )[:80]
