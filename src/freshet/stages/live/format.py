"""An overlay on disk: one `.npy` file per array and a JSON file, never a pickle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from freshet.stages.live import decayed_counts as decay
from freshet.stages.live.overlay import Overlay, Settings
from freshet.storage.durable import read_json, write_json
from freshet.storage.sound_reading import sound

ARRAYS = ("weights", "popular", "after", "since", "usual", "usual_after")
ESTABLISHED = "established.npy"
"""Users who count in full; there is none where all do."""


def write(overlay: Overlay | None, folder: Path) -> None:
    """Write the overlay into a folder; None where live signals don't pay.

    How often each user moved on the last day is not kept: an overlay is written as of the start of a day.
    """
    if overlay is None:
        write_json(folder / "overlay.json", {"pays": False})
        return
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(overlay, name), allow_pickle=False)
    if overlay.settings.new_user < 1:
        np.save(folder / ESTABLISHED, overlay.established, allow_pickle=False)
    about = {"pays": True, "clock": overlay.clock, "settings": asdict(overlay.settings)}
    write_json(folder / "overlay.json", about)


@sound
def read(folder: Path) -> Overlay | None:
    """Read what `write` wrote; None where live signals don't pay.

    Raises:
        ArtifactError: `overlay.json` is missing or damaged.
    """
    about: dict[str, Any] = read_json(folder / "overlay.json")
    if not about["pays"]:
        return None
    settings = about["settings"]
    known = np.zeros(0, np.uint64)
    if settings.get("new_user", 1.0) < 1:
        known = np.load(folder / ESTABLISHED, allow_pickle=False)
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
    return Overlay(
        Settings(**settings | {"half_lives": tuple(settings["half_lives"])}),
        clock=about["clock"],
        seats=np.zeros((decay.SEATS, 2), np.uint16),
        established=known,
        **arrays,
    )
