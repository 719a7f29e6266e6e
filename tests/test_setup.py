"""The environment: what the lock holds, and when `make` installs."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lmprep.practice import TASKS

ROOT = Path(__file__).parents[1]
LOCK = {
    canonicalize_name(name): pin
    for name, pin in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.M)
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_the_lock_satisfies_what_the_project_asks_for(extra: str) -> None:
    wanted = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)]), requirement


def test_what_is_installed_is_what_is_locked() -> None:
    def installed(name: str) -> str:
        try:
            return version(name).split("+")[0]
        except PackageNotFoundError:
            return "missing"

    assert {name: installed(name) for name in LOCK} == LOCK


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder, with a space and Chinese in its name, that holds just what decides about installing."""
    folder = tmp_path / "我的 book"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def stamp(project: Path) -> Path:
    [line] = re.findall(r"^touch (\S+)$", make(project, "-n", "lint").stdout, re.M)
    return project / line


def test_everything_is_set_up_once(project: Path) -> None:
    ready = stamp(project)
    ready.parent.mkdir()
    ready.touch()
    again = make(project, "-n", "lint").stdout
    assert "ruff" in again
    assert "pip" not in again


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_picked_up(project: Path, name: str) -> None:
    ready = stamp(project)
    ready.parent.mkdir()
    ready.touch()
    with (project / name).open("a") as file:
        file.write("# changed\n")
    assert "pip" in make(project, "-n", "lint").stdout


def test_torch_comes_first_and_nothing_after_it_resolves_dependencies(project: Path) -> None:
    installs = re.findall(r"pip [^;\n]*\binstall\b[^;\n]*", make(project, "-n", "lint").stdout)
    torch = [number for number, command in enumerate(installs) if "torch==" in command]
    rest = [number for number, command in enumerate(installs) if "torch==" not in command]
    assert torch
    assert rest
    assert max(torch) < min(rest)
    assert all("--no-deps" in installs[number] for number in rest)


def test_a_missing_python_is_named(project: Path) -> None:
    done = make(project, "lint", "PYTHON=no-such-python")
    assert done.returncode
    assert "no-such-python not found: install Python 3.11 or newer" in done.stdout


def test_make_alone_lists_the_targets() -> None:
    done = make(ROOT)
    for target in ("book", "test", "quick", "lab", "serve", "lint", "one", "dist", "clean"):
        assert re.search(rf"^{target} ", done.stdout, re.M), target


def test_a_wheel_imports_where_nothing_else_is_installed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "project/src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, tmp_path / "project")
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "./project"]
    subprocess.run(wheel, cwd=tmp_path, check=True, capture_output=True)
    [file] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "installed")
    code = "import sys; sys.path.insert(0, 'installed'); from lmprep.practice import TASKS; print(len(TASKS))"
    alone = [sys.executable, "-I", "-S", "-c", code]  # without site-packages
    done = subprocess.run(alone, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert int(done.stdout) == len(TASKS)
