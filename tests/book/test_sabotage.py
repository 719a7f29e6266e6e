"""Every entry's thesis fails when the thing that it measures is broken.

An entry's sabotage runs in a process of its own: `pytest -m sabotage -n 2 --dist worksteal`.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from contract import notebooks

from lmprep.entries import read_entry
from lmprep_book.kernel import environment, list_fonts

ROOT = Path(__file__).resolve().parents[2]
SOURCES = notebooks(ROOT)
SECONDS = 300  # by the clock, on a busy machine

pytestmark = pytest.mark.sabotage


def thesis(code: Sequence[str], sabotage: Path, folder: Path) -> tuple[str, str]:
    """What becomes of the thesis of these code cells under the sabotage, and in what words."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("sabotaged.py"), sabotage, folder / "report.json"],
        input=json.dumps(code),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=folder,
        env=environment(ROOT, 0, str(folder)) | {"MPLBACKEND": "agg"},  # draw nothing
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((folder / "report.json").read_text(encoding="utf8"))
    return report["outcome"], report["detail"]


@pytest.fixture(scope="session")
def fonts() -> None:
    """matplotlib's list of fonts: without it, every process would make one."""
    list_fonts(ROOT)


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_the_thesis_fails_under_its_sabotage(path: Path, tmp_path: Path) -> None:
    entry = read_entry(path)
    sabotage = ROOT / "tests" / entry.part / f"sabotage_{entry.slug}.py"
    assert sabotage.exists(), f"{entry.slug} has no sabotage"
    outcome, detail = thesis(entry.code, sabotage, tmp_path)
    assert outcome == "broken", f"the thesis of {entry.slug}: {outcome} ({detail})"


# --- the runner notices ------------------------------------------------------------------------------------

CELLS = (
    "from lmprep.evidence import ClaimError, agrees, claim\nfrom lmprep.notebook import rng, show",
    "import math\n\nlogits = rng(1).normal(size=256)\nshow(rng)",
    "weights = [math.exp(10 * logit) for logit in logits]\nbest = max(weights) / sum(weights)",
    'claim("below_one", "mass of the best", best, below=1)',
    'agrees("e", "math.e", math.exp(1), math.e, atol=1e-15)',
    'claim("best_gains", "mass of the best", best, at_least=0.3, thesis=True)',
    'open("ran_on", "w").close()',
)
FLAT = """
import numpy as np

THESIS = "best_gains"


class Flat:
    def normal(self, size):
        return np.zeros(size)


def sabotage(patch):
    patch.setattr("lmprep.notebook.rng", lambda k=0: Flat())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sabotage.py").write_text(FLAT, encoding="utf8")
    return tmp_path


def run(folder: Path, *changes: tuple[str, str], code: Sequence[str] = CELLS) -> tuple[str, str]:
    """The small example's outcome, its sabotage changed."""
    path = folder / "sabotage.py"
    text = path.read_text(encoding="utf8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf8")
    outcome = thesis(code, path, folder)
    assert not (folder / "ran_on").exists() or outcome[0] == "not reached", "it ran on after the thesis"
    return outcome


PATCH = 'patch.setattr("lmprep.notebook.rng", lambda k=0: Flat())'


def test_a_sabotage_that_works(folder: Path) -> None:
    outcome, detail = run(folder)
    assert outcome == "broken"
    assert "mass of the best: measured 0.003906, wanted ≥ 0.3" in detail


def test_a_sabotage_that_breaks_nothing(folder: Path) -> None:
    outcome, detail = run(folder, (PATCH, "pass"))
    assert outcome == "holds"
    assert detail.startswith("measured 0.")


def test_a_sabotage_that_breaks_other_evidence_alone(folder: Path) -> None:
    code = [cell.replace("below=1)", "below=0)").replace("math.exp(1)", "3.0") for cell in CELLS]
    assert run(folder, (PATCH, "pass"), code=code)[0] == "holds"


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ('patch.setattr("lmprep.notebook.rng", None)', "TypeError"),
        ('patch.delattr("lmprep.notebook.rng")', "ImportError"),
        ('patch.setattr("lmprep.notebook.rng", exit)', "SystemExit"),
    ],
)
def test_a_notebook_that_stops_for_another_reason(folder: Path, patch: str, error: str) -> None:
    outcome, detail = run(folder, (PATCH, patch))
    assert outcome == "another error"
    assert detail.startswith(error)


def test_a_cell_that_does_not_parse(folder: Path) -> None:
    outcome, detail = run(folder, code=["x = = 1", *CELLS])
    assert outcome == "another error"
    assert detail.startswith("SyntaxError")


def test_an_error_of_that_key_which_its_claim_did_not_raise(folder: Path) -> None:
    code = [*CELLS[:2], 'raise ClaimError("best_gains", "made up")', *CELLS[2:]]
    assert run(folder, code=code) == ("another error", "ClaimError: made up")


def test_a_value_that_is_only_lost(folder: Path) -> None:
    outcome, detail = run(folder, ("np.zeros(size)", "np.full(size, np.nan)"))
    assert outcome == "not finite"
    assert "measured nan" in detail


def test_a_thesis_that_is_never_claimed(folder: Path) -> None:
    assert run(folder, ('"best_gains"', '"another"'))[0] == "not reached"


@pytest.mark.parametrize("name", ["claim", "agrees", "_fail"])
def test_a_sabotage_of_the_measuring(folder: Path, name: str) -> None:
    assert run(folder, (PATCH, f'patch.setattr("lmprep.evidence.{name}", None)'))[0] == "evidence patched"
