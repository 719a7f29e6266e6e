"""Sources are read with their own outputs, expanded alike for the book and for the reader's copies."""

import inspect
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pytest
from tiny_book import notebook, write_book

from lmprep.entries import Entry, read_entries
from lmprep.evidence import EVIDENCE_MIME
from lmprep_book import execute, lab, reader
from lmprep_book.reader import NotExecuted, executed, expand, header_line, reads

CLAIMS = "from lmprep.evidence import claim\nclaim('sure', 'one and one', 2, at_least=1, thesis=True)"
EXERCISE = "# %% [markdown]\n# ## Your turn\n#\n# ```{task} add\n# ```"
SOLUTION = "# %% [markdown]\n# Before.\n#\n# ```{solution} add\n# ```\n#\n# After."

NOTEBOOKS = {
    "architectures/base": notebook(CLAIMS, "'shown'", short="The base"),
    "training/onward": notebook(EXERCISE, "1", SOLUTION, short="Onward", needs="base, not_in_the_book"),
}


def add(a, b):
    """The sum.

    ```python
    add(1, 2)
    ```
    """
    return a + b


TASK = SimpleNamespace(statement="Write `add`.", hints=("Plus.", "A `+`.", "```\na + b\n```"), reference=add)


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "TASKS", {"add": TASK})


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


def source(book: Path, name: str) -> str:
    return (book / f"notebooks/{name}.py").read_text(encoding="utf8")


def expanded(book: Path, name: str, suffix: str = ".py") -> list[str]:
    """The Markdown cells of a notebook, expanded."""
    entries = read_entries(book)
    entry = next(entry for entry in entries if entry.docname == f"notebooks/{name}")
    cells = expand(jupytext.reads(source(book, name), fmt="py:percent"), entry, entries, suffix).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


# --- outputs -----------------------------------------------------------------------------------------------


def test_reads_gives_the_source_with_the_outputs_of_its_last_run(book: Path) -> None:
    read = reads(source(book, "architectures/base"), str(book))
    assert [cell.cell_type for cell in read.cells] == ["markdown", "code", "code"]
    claimed, shown = (cell.outputs[0].data for cell in read.cells[1:])
    assert shown["text/plain"] == "'shown'"
    assert "one and one" in claimed["text/html"]
    assert EVIDENCE_MIME not in claimed  # Sphinx would warn of it
    assert EVIDENCE_MIME in executed(read_entries(book)[0], book).cells[1].outputs[0].data
    assert read.metadata.language_info.name == "python"
    nbformat.validate(read)


def test_changed_prose_is_read_with_the_same_outputs(book: Path) -> None:
    path = book / "notebooks/architectures/base.py"
    path.write_text(path.read_text().replace("What does", "What, exactly, does"))
    read = reads(path.read_text(), str(book))
    assert "What, exactly" in read.cells[0].source
    assert read.cells[2].outputs[0].data["text/plain"] == "'shown'"


def test_a_cell_of_prose_may_come_after_the_run(book: Path) -> None:
    path = book / "notebooks/architectures/base.py"
    path.write_text(path.read_text().replace("# %%\n'shown'", "# %% [markdown]\n# New.\n\n# %%\n'shown'"))
    read = reads(path.read_text(), str(book))
    assert [cell.source for cell in read.cells[-2:]] == ["New.", "'shown'"]
    assert read.cells[-1].outputs[0].data["text/plain"] == "'shown'"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("notebooks/architectures/base.py", "'shown'", "'not yet shown'"),
        ("src/lmprep/evidence.py", "largest difference", "greatest difference"),
        ("_build/executed/architectures/base.ipynb", None, None),
    ],
)
def test_without_its_outputs_the_remedy_is_named(book: Path, file: str, old: str | None, new: str) -> None:
    path = book / file
    if old is None:
        path.unlink()
    else:
        path.write_text(path.read_text().replace(old, new))
    command = "make one NB=base"
    with pytest.raises(NotExecuted, match=command):
        reads(source(book, "architectures/base"), str(book))


def test_unknown_text_is_refused(book: Path) -> None:
    with pytest.raises(ValueError, match="no notebook under"):
        reads(notebook("2"), str(book))


# --- what is filled in -------------------------------------------------------------------------------------


def entry_with(book: Path, **fields: object) -> Entry:
    return Entry(**(vars(read_entries(book)[1]) | fields))


def test_header_line_says_what_the_header_says(book: Path) -> None:
    assert header_line(read_entries(book)[1], read_entries(book)) == (
        "Training · mid level · 1 min · asked in most interviews"
        " · Read first: [The base](../architectures/base.py) · 中文：这是什么？"
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"level": 1, "asked": 2}, "Training · junior · 1 min · asked often · 中文：这是什么？"),
        ({"level": 3, "asked": 1}, "Training · senior · 1 min · asked now and then · 中文：这是什么？"),
        ({"level": 2, "asked": 0}, "Training · mid level · 1 min · 中文：这是什么？"),
    ],
)
def test_header_line_leaves_out_what_does_not_apply(book: Path, fields: dict, line: str) -> None:
    """The need that is in the table of contents no longer is, so none is left."""
    assert header_line(entry_with(book, **fields), read_entries(book)[1:]) == line


def test_header_line_stands_under_the_title_and_only_there(book: Path) -> None:
    cells = expanded(book, "training/onward")
    line = header_line(read_entries(book)[1], read_entries(book))
    assert cells[0] == f"# What does Onward do?\n\n{line}"
    assert sum(cell.count(line) for cell in cells) == 1


def test_header_line_goes_between_a_title_and_its_text(book: Path) -> None:
    entry = entry_with(book, needs=())
    cell = nbformat.v4.new_markdown_cell("# A title\n\nText.\n\n```python\n# a comment\n```")
    expand(nbformat.v4.new_notebook(cells=[cell]), entry, [])
    assert cell.source.startswith(f"# A title\n\n{header_line(entry, [])}\n\n\nText.")
    assert cell.source.endswith("```python\n# a comment\n```")


def test_notes_to_the_formatter_are_not_shown(book: Path) -> None:
    cell = nbformat.v4.new_code_cell("f(1,\n  2)  # fmt: skip\nx = 1  # why")
    expand(nbformat.v4.new_notebook(cells=[cell]), entry_with(book), [])
    assert cell.source == "f(1,\n  2)\nx = 1  # why"


def test_a_task_becomes_its_statement_and_three_closed_hints(book: Path) -> None:
    assert expanded(book, "training/onward")[1] == (
        "## Your turn\n\nWrite `add`.\n\n"
        "```{dropdown} Hint 1\nPlus.\n```\n\n```{dropdown} Hint 2\nA `+`.\n```\n\n"
        "````{dropdown} Hint 3\n```\na + b\n```\n````"
    )


def test_a_solution_is_the_reference_as_it_stands(book: Path) -> None:
    """Its docstring holds a fence, so that around it must be longer, and the dropdown's longer still."""
    code = inspect.getsource(add).rstrip()
    wanted = f"Before.\n\n`````{{dropdown}} Solution\n````python\n{code}\n````\n`````\n\nAfter."
    assert expanded(book, "training/onward")[2] == wanted


def test_an_unknown_task_is_an_error(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "TASKS", {})
    with pytest.raises(KeyError, match="add"):
        expanded(book, "training/onward")


# --- the reader's copies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_book_and_copies_read_alike(book: Path, name: str) -> None:
    assert lab.main(["--root", str(book)]) == 0
    mine = nbformat.read(book / f"work/{name}.ipynb", as_version=4)
    read = reads(source(book, name), str(book))
    alike = [cell.source.replace(".ipynb)", ".py)") for cell in mine.cells]
    assert alike == [cell.source for cell in read.cells]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in mine.cells)
    nbformat.validate(mine)


def test_links_between_copies_lead_to_copies(book: Path) -> None:
    assert lab.main(["--root", str(book)]) == 0
    onward = nbformat.read(book / "work/training/onward.ipynb", as_version=4)
    assert "[The base](../architectures/base.ipynb)" in onward.cells[0].source
    assert (book / "work/training/../architectures/base.ipynb").exists()


def test_copies_write_citations_out(tmp_path: Path) -> None:
    references = tmp_path / "references.bib"
    entries = {
        "one": "Solo, Ann",
        "two": "Solo, Ann and de Duo, Bo",
        "many": "Solo, Ann and Duo, Bo and others",
    }
    for key, authors in entries.items():
        with references.open("a") as file:
            file.write(f"@article{{{key}, title={{T}}, author={{{authors}}}, year={{2017}}}}\n")
    text = "As {cite:t}`one` found {cite:p}`two,many`, with `{code}`."
    said = "As Solo (2017) found (Solo and de Duo, 2017; Solo et al., 2017), with `{code}`."
    assert lab.in_words(text, references) == said


def test_copies_are_never_overwritten(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["--root", str(book)]) == 0
    assert capsys.readouterr().out.count(": new\n") == 2
    path = book / "work/architectures/base.ipynb"
    mine = json.loads(path.read_text())
    mine["cells"][1]["source"] = "my_own = 'work'"
    path.write_text(json.dumps(mine))
    before = path.read_bytes()

    assert lab.main(["--root", str(book)]) == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out.count(": yours, kept\n") == 2

    text = source(book, "architectures/base").replace("'shown'", "'newly shown'")
    (book / "notebooks/architectures/base.py").write_text(text)
    reader.book_entries.cache_clear()
    assert lab.main(["--root", str(book)]) == 0
    assert path.read_bytes() == before
    said = capsys.readouterr().out
    assert (
        "base.ipynb: yours, kept. The book has a newer one: to have both, rename yours and run this" in said
    )
    assert "onward.ipynb: yours, kept\n" in said

    path.rename(path.with_name("base-mine.ipynb"))  # as it was told to
    assert lab.main(["--root", str(book)]) == 0
    assert path.with_name("base-mine.ipynb").read_bytes() == before
    assert "newly shown" in path.read_text()


@pytest.mark.parametrize("content", ["no notebook at all", "{}"])
def test_whatever_stands_in_a_copys_place_is_kept(
    book: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = book / "work/architectures/base.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert lab.main(["--root", str(book)]) == 0
    assert path.read_text() == content
    assert "base.ipynb: yours, kept. The book has a newer one" in capsys.readouterr().out
