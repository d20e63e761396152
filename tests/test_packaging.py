"""The source distribution holds what the wheel needs, and the wheel what a host without the repository needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import freshet

ROOT = Path(__file__).parents[1]
BUILD_SDIST = "from sys import argv; from setuptools import build_meta; build_meta.build_sdist(argv[1])"

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; the repository is not on its path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a source distribution, built from a copy of the tree."""
    work = tmp_path_factory.mktemp("packaging")
    tree = work / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    run(sys.executable, "-c", BUILD_SDIST, work, cwd=tree)
    (packed,) = work.glob("freshet-*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(work, filter="data")
    source = work / packed.name.removesuffix(".tar.gz")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", work / "dist", source, cwd=work)
    (built,) = (work / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a fresh environment that holds the wheel, and finds dependencies where this one has them."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"),
        *("install", "--quiet", "--no-index", "--no-deps", wheel),
        cwd=home,
    )
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    # after the environment's own folder; what the .pth files in there would add is not followed
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if "/licenses/" in name]
    files = (path for path in (ROOT / "src" / "freshet").rglob("*") if path.is_file())
    assert packed == {
        path.relative_to(ROOT / "src").as_posix() for path in files if "__pycache__" not in path.parts
    }
    assert any(name.endswith("/licenses/LICENSE") for name in licences)
    assert wheel.name.startswith(f"freshet-{freshet.__version__}-")


def test_the_installed_package_is_used(bin_folder: Path, tmp_path: Path) -> None:
    found = run(bin_folder / "python", "-c", "import freshet; print(freshet.__file__)", cwd=tmp_path).strip()
    assert Path(found).is_relative_to(bin_folder.parent)
    assert run(bin_folder / "freshet", "--version", cwd=tmp_path).strip() == freshet.__version__
    assert "replay" in run(bin_folder / "freshet", "--help", cwd=tmp_path)


def test_a_release_and_its_report_come_out_of_it(bin_folder: Path, tmp_path: Path) -> None:
    start = datetime(2024, 1, 1)
    rows = [
        f"u{user},i{(user * 7 + step * step) % 60},{start + timedelta(hours=9 * step + user)}"
        for user in range(40)
        for step in range(30)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    freshet_ = bin_folder / "freshet"
    run(
        freshet_,
        "init",
        "shop",
        "--events",
        "log.csv",
        "--interests",
        "8",
        "--planner",
        "counts",
        cwd=tmp_path,
    )
    run(freshet_, "run", "-w", "shop", cwd=tmp_path)
    run(freshet_, "report", "-w", "shop", "--into", "report.html", cwd=tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()
