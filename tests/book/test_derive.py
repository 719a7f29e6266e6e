"""The derived pages say what the sources and the recorded evidence say."""

import shutil
from pathlib import Path

import nbformat
import pytest
from tiny_book import notebook, write_book

from lmprep.entries import read_entries
from lmprep.evidence import EVIDENCE_MIME
from lmprep_book import derive, execute
from lmprep_book.reader import NotExecuted, book_entries, executed

EVIDENCE = """\
from lmprep.evidence import agrees, claim
claim("half", "a half, in *words* | signs", 0.5, at_least=0.25, below=1, unit="nats", thesis=True)
claim("small", "a small one", -2e-13, at_most=1e-12)
agrees("two_sums", "math.fsum", [3.0, 4.0], [3.0, 4.5], atol=0.5, rtol=1e-3)"""

ERRORS = """\
# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"It is easy."** Ask: *why?* See [the base](../architectures/base.py), [above](#the-answer), `a[0](b)` and
# [the paper](https://example.org/a):"""

MORE = """\
# %% [markdown] tags=["errors"]
# ```python
# layers[0](x)
# ```
# It is not."""

NOTEBOOKS = {
    "architectures/base": notebook(EVIDENCE, short="The base"),
    "training/onward": notebook(
        "1", ERRORS, "print(layers[1](x) if False else 'shown')", MORE, "'after'", short="a | b"
    ),
}


@pytest.fixture(scope="module")
def once_run(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = write_book(tmp_path_factory.mktemp("book"), NOTEBOOKS, library={"__init__.py": ""})
    shutil.copy(root / "src/lmprep/evidence.py", folder / "src/lmprep")
    assert execute.main(["--root", str(folder)]) == 0
    return folder


@pytest.fixture
def book(once_run: Path, tmp_path: Path) -> Path:
    """A book that has just been run."""
    shutil.copytree(once_run, tmp_path / "book")
    return tmp_path / "book"


def page(book: Path, name: str) -> str:
    assert derive.main(["--root", str(book)]) == 0
    return (book / f"book/derived/{name}.md").read_text(encoding="utf8")


def rows(text: str) -> list[list[str]]:
    """The cells of a page's tables, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.replace(r"\|", "¦").strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("Question", "Kind") and not row[0].startswith("---")]


def test_questions_are_listed_with_what_their_headers_say(book: Path) -> None:
    base = "[What does The base do?](../../notebooks/architectures/base.py)"
    onward = "[What does a ¦ b do?](../../notebooks/training/onward.py)"
    assert rows(page(book, "questions")) == [
        [base, "architectures", "mid level", "1", "in most interviews", "[3](#evidence-base)"],
        [onward, "training", "mid level", "1", "in most interviews", "[0](#evidence-onward)"],
    ]


def test_evidence_is_what_the_notebooks_recorded(book: Path) -> None:
    text = page(book, "evidence")
    assert "Entries: **2**. Claims: **2**, of which theses: **1**. Comparisons" in text
    assert "not ours: **1**." in text
    assert "(evidence-base)=\n## [The base](../../notebooks/architectures/base.py)\n" in text
    assert rows(text) == [
        ["thesis", r"a half, in \*words\* ¦ signs", "0.5 nats", r"≥ 0.25 and \< 1"],
        ["claim", "a small one", "−2e−13", "≤ 1e−12"],
        [
            "agrees",
            "two sums with `math.fsum`",
            "largest difference 5.0e-01 over 2 values",
            "≤ 5e-01 + 1e-03 relative",
        ],
    ]


def test_evidence_comes_from_the_records_not_from_what_is_shown(book: Path) -> None:
    path = book / "_build/executed/architectures/base.ipynb"
    executed = nbformat.read(path, as_version=4)
    data = [output.data for output in executed.cells[1].outputs]
    data[0]["text/html"] = data[0]["text/plain"] = "0.9"
    data[0][EVIDENCE_MIME]["value"] = 0.75
    nbformat.write(executed, path)
    assert rows(page(book, "evidence"))[0][2] == "0.75 nats"


def test_errors_stand_under_a_link_to_their_entry(book: Path) -> None:
    text = page(book, "errors")
    assert text.count("What common answers get wrong") == 1  # the page's own title
    heading = "## [a | b](../../notebooks/training/onward.py)\n\n*What does a | b do?*\n"
    assert heading in text
    assert text.split(heading)[1] == (
        '\n**"It is easy."** Ask: *why?* See [the base](../../notebooks/architectures/base.py), '
        "[above](../../notebooks/training/onward.py#the-answer), `a[0](b)` and\n"
        "[the paper](https://example.org/a):\n\n"
        "```python\nprint(layers[1](x) if False else 'shown')\n```\n\n"
        "```python\nlayers[0](x)\n```\nIt is not.\n"
    )


def test_pages_are_written_only_when_they_change(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert derive.main(["--root", str(book)]) == 0
    assert capsys.readouterr().out.count("wrote") == 3
    folder = book / "book/derived"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert set(before) == {"errors.md", "evidence.md", "questions.md"}
    source = book / "notebooks/training/onward.py"
    source.write_text(source.read_text().replace("It is not.", "It is hard."))
    book_entries.cache_clear()
    assert derive.main(["--root", str(book)]) == 0
    assert capsys.readouterr().out == "wrote book/derived/errors.md\n"
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"errors.md"}


def test_without_a_run_nothing_is_written_and_the_remedy_is_named(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (book / "_build/executed/training/onward.ipynb").unlink()
    assert derive.main(["--root", str(book)]) == 1
    assert "make one NB=onward" in capsys.readouterr().err
    assert not (book / "book/derived").exists()
    with pytest.raises(NotExecuted):
        executed(read_entries(book)[1], book)


def test_a_book_without_entries_has_pages_too(tmp_path: Path) -> None:
    book = write_book(tmp_path, {})
    assert rows(page(book, "questions")) == []
    assert "Entries: **0**. Claims: **0**" in page(book, "evidence")
