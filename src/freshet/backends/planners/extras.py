"""The optional packages that local planners need, asked for when used and not before."""

from __future__ import annotations

import os
from importlib.util import find_spec

from freshet.backends.planners.athome import stay_at_home
from freshet.core.errors import MissingExtra

INSTALL = 'pip install torch==2.13.0 && pip install "freshet[local]"'


def need_local(*packages: str, instead: str = "[planner] kind = 'counts'") -> None:
    """Check that packages of the `local` extra are installed, without importing them; ready the process.

    `instead` names the setting that does without them.

    Threads that wait for work are told to sleep instead of spinning (which is decided when torch is loaded,
    unless the user has decided it): on a machine that does other work besides, spinning halves the speed
    of a small model or worse. And nothing is sent anywhere (`athome`).

    Raises:
        MissingExtra: one isn't; the hint is the install line.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingExtra(
            f"{' and '.join(missing)} not installed, which a model trained here needs",
            hint=f"{INSTALL}   (or choose {instead}, which needs neither)",
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    stay_at_home()
