"""Third-party libraries of local planners: whether they are there, offline, quiet, with errors of ours."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType

from freshet.core.errors import FreshetError, MissingExtra

INSTALL = 'pip install torch==2.13.0 && pip install "freshet[local]"'

SETTINGS = {
    "HF_HUB_OFFLINE": "1",  # transformers would ask the hub for files, and whether there are newer ones
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL would report versions, kind of model and device at every training
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Environment variables, set where the user hasn't set them."""

TRUE = ("1", "ON", "YES", "TRUE")

MOST = 300
"""Characters of a library's message."""


def need_local(*packages: str, instead: str = "[planner] kind = 'counts'") -> None:
    """Check that packages of the `local` extra are installed, without importing them; ready the process.

    `instead` names the setting that does without them.

    Threads that wait for work are set to sleep instead of spinning (which is decided when torch is loaded,
    unless the user has decided it): on a machine that does other work besides, spinning halves the speed
    of a small model or worse. And nothing is sent anywhere (`stay_offline`).

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
    stay_offline()


def stay_offline() -> None:
    """Set `SETTINGS` for libraries loaded from now on, and no telemetry for those that were loaded before."""
    chosen = "HF_HUB_DISABLE_TELEMETRY" in os.environ
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    loaded = sys.modules.get("huggingface_hub.constants")
    if loaded is not None and not chosen:  # it has read the environment already
        loaded.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]


def may_download() -> bool:
    """Whether the user lets checkpoints come from the Hugging Face hub, by HF_HUB_OFFLINE=0."""
    return os.environ.get("HF_HUB_OFFLINE", "1").upper() not in TRUE


class LibraryErrors:
    """A block that calls other libraries and nothing else: whatever they raise becomes an error of ours.

    Readers of checkpoints raise nearly anything about a file that isn't what they expect (KeyError,
    ZeroDivisionError, a plain Exception), which is no bug but an answer about the file.

    Args:
        make: the error, from the library's message in one line.
    """

    def __init__(self, make: Callable[[str], FreshetError]) -> None:
        self._make = make

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, (FreshetError, MemoryError)):
            message = " ".join(str(error).split())
            raise self._make(f"{type(error).__name__}: {message}"[:MOST]) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Progress goes to our own callback and problems become our own errors, so theirs are muted."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what they will rename among themselves
            warnings.filterwarnings("ignore", message="fan_in_fan_out")  # PEFT, of layers that it sets right
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
