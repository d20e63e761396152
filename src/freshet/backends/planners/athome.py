"""Nothing leaves the machine unless the user says so: what other libraries are told before being loaded."""

from __future__ import annotations

import os
import sys

SETTINGS = {
    "HF_HUB_OFFLINE": "1",  # transformers would ask the hub for files, and whether there are newer ones
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL would tell versions, kind of model and device at every training
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Environment variables, set where the user hasn't set them."""

TRUE = ("1", "ON", "YES", "TRUE")


def stay_at_home() -> None:
    """Set `SETTINGS` for libraries loaded from now on, and no telemetry for those that were loaded before."""
    told = "HF_HUB_DISABLE_TELEMETRY" in os.environ
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    loaded = sys.modules.get("huggingface_hub.constants")
    if loaded is not None and not told:  # it has read the environment already
        loaded.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]


def may_download() -> bool:
    """Whether the user lets checkpoints come from the Hugging Face hub, by HF_HUB_OFFLINE=0."""
    return os.environ.get("HF_HUB_OFFLINE", "1").upper() not in TRUE
