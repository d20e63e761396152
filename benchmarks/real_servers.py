"""Real inference servers, started on a model folder and stopped again; for benchmarks and tests.

- `vllm`: the environment variable FRESHET_VLLM_PYTHON names the Python of an environment with vLLM.
- `llama`: FRESHET_LLAMA_CPP names a checkout of llama.cpp that was built in its folder `build`.
- `transformers`: `transformers serve` of this environment, which needs `pip install transformers[serving]`.

docs/how-to/servers.md says how each was installed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

KINDS = ("vllm", "llama", "transformers")
LONGEST_START = 600.0
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Attributes:
        endpoint: base URL, with `/v1`.
        model: what it calls the model.
        seconds: from its start until it was ready.
        pid: of its process, the leader of its group.
    """

    endpoint: str
    model: str
    seconds: float
    pid: int


def missing(kind: str) -> str:
    """Why a server can't be started here, '' where it can."""
    if kind == "vllm" and not os.environ.get("FRESHET_VLLM_PYTHON"):
        return "FRESHET_VLLM_PYTHON names no Python of an environment with vLLM"
    if kind == "llama" and not os.environ.get("FRESHET_LLAMA_CPP"):
        return "FRESHET_LLAMA_CPP names no checkout of llama.cpp with a build"
    if kind == "transformers" and any(find_spec(name) is None for name in ("openai", "fastapi", "uvicorn")):
        return "transformers serve needs `pip install transformers[serving]`"
    return ""


@contextmanager
def serving(kind: str, folder: Path, work: Path, *more: str) -> Iterator[Running]:
    """A server on a model folder, in float32 on one processor.

    Args:
        folder: with weights and tokenizer; for llama.cpp a GGUF file of it is written.
        work: folder for that file and the server's log.
        more: arguments of its own.

    Raises:
        RuntimeError: it doesn't start; the end of its log says why.
    """
    port = free_port()
    command = [*_command(kind, folder, work, port), *more]
    log = work / f"{kind}.log"
    start = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**QUIET, **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **_paths(kind)},
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        model = str(folder) if kind == "transformers" else "tuned"
        seconds = time.monotonic() - start
        yield Running(f"http://127.0.0.1:{port}/v1", model, seconds, process.pid)
    finally:
        _end(process)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def memory_mb(pid: int) -> float:
    """Resident memory of a server's processes together, in MB; pages that they share count for each."""
    import psutil

    leader = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [leader, *leader.children(recursive=True)]) / 1e6


def _command(kind: str, folder: Path, work: Path, port: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    if kind == "vllm":
        python = os.environ["FRESHET_VLLM_PYTHON"]
        named = ["--model", str(folder), "--served-model-name", "tuned"]
        # `vllm serve` of the package vllm-cpu looks for a package called vllm, and ends
        served = [python, "-m", "vllm.entrypoints.openai.api_server", *named, *where]
        return [*served, "--dtype", "float32", "--enforce-eager"]
    if kind == "llama":
        root = Path(os.environ["FRESHET_LLAMA_CPP"])
        file = work / "model.gguf"
        subprocess.run(
            [sys.executable, "-c", "import gguf_file; gguf_file.main()", str(folder), str(file)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": f"{root / 'gguf-py'}{os.pathsep}{Path(__file__).parent}"},
        )
        exact = ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]
        sizes = ["-c", "4096", "--parallel", "4", "-t", "1", "-tb", "1"]
        server = str(root / "build" / "bin" / "llama-server")
        return [server, "-m", str(file), "--alias", "tuned", *where, *exact, *sizes]
    script = str(Path(sys.executable).parent / "transformers")
    return [script, "serve", str(folder), *where, "--dtype", "float32", "--device", "cpu"]


def _paths(kind: str) -> dict[str, str]:
    """PYTHONPATH is this environment's own: a server of another one must not see it."""
    here = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": here} if kind == "transformers" and here else {}


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the server doesn't start: {tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and what it started."""
    for how, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 30)):
        try:
            os.killpg(process.pid, how)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            break
    try:  # its workers have its group
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
