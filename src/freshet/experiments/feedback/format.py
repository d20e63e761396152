"""Feedback on disk: one `.npy` file per array and a JSON file, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from freshet.experiments.feedback.lifts import Lifts
from freshet.experiments.feedback.proposals import Feedback
from freshet.storage.durable import read_json, write_json


def write(feedback: Feedback | None, folder: Path) -> None:
    """Write feedback into a folder; None where it doesn't pay."""
    if feedback is None:
        write_json(folder / "feedback.json", {"pays": False})
        return
    np.save(folder / "keys.npy", feedback.lifts.keys, allow_pickle=False)
    np.save(folder / "values.npy", feedback.lifts.values, allow_pickle=False)
    about = {
        "pays": True,
        "k": feedback.lifts.k,
        "own": feedback.own,
        "lift": feedback.lift,
        "proposals": feedback.proposals,
    }
    write_json(folder / "feedback.json", about)


def read(folder: Path) -> Feedback | None:
    """Read what `write` wrote; None where it doesn't pay.

    Raises:
        ArtifactError: `feedback.json` is missing or damaged.
    """
    about: dict[str, Any] = read_json(folder / "feedback.json")
    if not about["pays"]:
        return None
    keys, values = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("keys", "values"))
    return Feedback(Lifts(keys, values, about["k"]), about["own"], about["lift"], about["proposals"])
