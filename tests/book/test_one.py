"""`make one`: an entry's claims over several seeds, with how close each comes to its bound."""

import shutil
from pathlib import Path

import pytest
from tiny_book import notebook, write_book

from lmprep.entries import read_entries
from lmprep_book import one

SEED = "import os\nfrom lmprep.evidence import claim\nseed = int(os.environ['LMPREP_SEED'])"


@pytest.fixture
def book(tmp_path: Path, root: Path) -> Path:
    cells = (SEED, "claim('grows', 'two more than the seed', seed + 2, at_least=1, thesis=True)")
    breaks = (SEED, "claim('small', 'the seed', seed, below=1, thesis=True)")
    notebooks = {"training/holds": notebook(*cells), "training/breaks": notebook(*breaks)}
    folder = write_book(tmp_path, notebooks, library={"__init__.py": ""})
    shutil.copy(root / "src/lmprep/evidence.py", folder / "src/lmprep")
    return folder


@pytest.mark.parametrize(
    ("value", "bounds", "expected"),
    [(3.0, {"at_least": 2.0}, 0.5), (3.0, {"at_least": 2.0, "below": 4.0}, 0.25), (0.1, {"above": 0.0}, 1.0)],
)
def test_margin_is_the_share_of_the_nearest_bound(value: float, bounds: dict, expected: float) -> None:
    assert one.margin({"value": value, "bounds": bounds}) == pytest.approx(expected)


def test_claims_are_shown_over_the_seeds(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(entry for entry in read_entries(book) if entry.slug == "holds")
    assert one._run_seeds(entry, book, 2)
    out = capsys.readouterr().out
    assert "seed 0: " in out
    assert "seed 1: " in out
    [row] = [line for line in out.splitlines() if "grows" in line]
    for shown in ("2", "3", "≥ 1", "100%"):  # lowest, highest, bound, the lowest's distance from it
        assert shown in row


def test_a_seed_for_which_a_claim_breaks_is_named(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(entry for entry in read_entries(book) if entry.slug == "breaks")
    assert not one._run_seeds(entry, book, 2)
    out = capsys.readouterr().out
    assert "seed 0: FAILED" not in out
    assert "seed 1: FAILED" in out
    assert "claim 'small' does not hold" in out


def test_an_unknown_entry_is_refused(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(book)
    with pytest.raises(SystemExit):
        one.main(["nowhere"])
    assert "there is no notebooks/*/nowhere.py" in capsys.readouterr().err
