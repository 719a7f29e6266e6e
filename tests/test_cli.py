"""`lmprep list` shows the book; `lmprep new` starts an entry that no test mistakes for a finished one."""

import ast
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from jupytext.config import load_jupytext_configuration_file
from typer.testing import CliRunner, Result

from lmprep.cli import app
from lmprep.entries import BLOCKS, PARTS, headings, read_entries, read_entry
from lmprep.scaffold import new_entry


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty book, which is the current folder."""
    write_toc(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def write_toc(book: Path, *files: str) -> None:
    toc = {
        "root": "book/index",
        "parts": [{"caption": "All", "chapters": [{"file": file} for file in files]}],
    }
    (book / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str) -> str:
    """What a refused command says."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def finished(book: Path, part: str, slug: str, **header: object) -> Path:
    """A new entry whose header is filled in."""
    notebook, _ = new_entry(book, part, slug, source="L13", short=f"About {slug}", question="Why is that so?")
    text = notebook.read_text(encoding="utf8")
    lines = [f"#     {name}: {value}" for name, value in ({"asked": 3, "level": 2} | header).items()]
    kept = [line for line in text.splitlines() if not line.startswith(("#     asked:", "#     level:"))]
    start = kept.index("#   lmprep:") + 1
    notebook.write_text("\n".join([*kept[:start], *lines, *kept[start:]]) + "\n", encoding="utf8")
    return notebook


# --- list --------------------------------------------------------------------------------------------------


def test_list_shows_the_entries_in_the_books_order(book: Path) -> None:
    finished(book, "training", "second")
    finished(book, "architectures", "first")
    write_toc(book, "notebooks/training/second", "notebooks/architectures/first")
    result = run("list")
    assert result.exit_code == 0
    header, second, first, count = result.stdout.splitlines()
    assert header.split() == ["part", "slug", "short", "level", "asked", "tasks"]
    assert second.split() == ["training", "second", "About", "second", "2", "3", "TODO"]
    assert first.split()[:2] == ["architectures", "first"]
    assert count == "2 entries"


def test_list_shows_one_part(book: Path) -> None:
    finished(book, "training", "second")
    finished(book, "architectures", "first")
    write_toc(book, "notebooks/training/second", "notebooks/architectures/first")
    lines = run("list", "--part", "architectures").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["slug", "first", "entry"]
    assert run("list", "--part", "trust").stdout.splitlines()[-1] == "0 entries"


def test_list_cuts_nothing_off_in_a_narrow_window(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    notebook = finished(book, "training", "cross_entropy_numerics")
    text = notebook.read_text(encoding="utf8").replace(
        "#     - TODO", "#     - a_task_with_a_long_name\n#     - b"
    )
    notebook.write_text(text, encoding="utf8")
    write_toc(book, "notebooks/training/cross_entropy_numerics")
    shown = run("list").stdout
    assert "…" not in shown
    assert "cross_entropy_numerics" in shown


def test_list_works_from_a_folder_within(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(book, "training", "second")
    write_toc(book, "notebooks/training/second")
    monkeypatch.chdir(book / "notebooks" / "training")
    assert "second" in run("list").stdout


def test_list_of_this_book_names_every_entry(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "200")
    lines = run("list").stdout.splitlines()[1:-1]
    assert [line.split()[1] for line in lines] == [entry.slug for entry in read_entries(root)]


def test_list_refuses_an_unknown_part_and_names_the_ten(book: Path) -> None:
    message = refused("list", "--part", "optimization")
    assert "--part" in message
    assert "'optimization'" in message
    assert all(part in message for part in PARTS)


def test_list_names_a_half_written_entry(book: Path) -> None:
    new_entry(book, "training", "half")
    write_toc(book, "notebooks/training/half")
    message = refused("list")
    assert "half.py" in message
    assert "`asked`" in message


@pytest.mark.parametrize("command", [["list"], ["new", "training", "x"]])
def test_outside_a_checkout_the_remedy_is_named(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "run lmprep inside a checkout" in refused(*command)
    assert list(tmp_path.iterdir()) == []


# --- new ---------------------------------------------------------------------------------------------------


def test_new_writes_both_files_and_says_what_comes_next(book: Path) -> None:
    options = ["--source", "L27", "--short", "Cross-entropy", "--question", "Why not accuracy?"]
    result = run("new", "training", "cross_entropy", *options)
    assert result.exit_code == 0
    created = {str(path.relative_to(book)) for path in book.rglob("*.py")}
    assert created == {"notebooks/training/cross_entropy.py", "tests/training/sabotage_cross_entropy.py"}
    assert all(name in result.stdout for name in created)
    assert "make one NB=cross_entropy" in result.stdout
    entry = read_entry(finished_header(book / "notebooks/training/cross_entropy.py"))
    assert (entry.source, entry.short, entry.question) == ("L27", "Cross-entropy", "Why not accuracy?")


def finished_header(notebook: Path) -> Path:
    """Fill in the two numbers without which no header is read."""
    lines = notebook.read_text(encoding="utf8").splitlines()
    lines = [line.split("TODO")[0] + "2" if "asked:" in line or "level:" in line else line for line in lines]
    notebook.write_text("\n".join(lines) + "\n", encoding="utf8")
    return notebook


def test_the_line_that_new_prints_puts_the_entry_into_the_toc(book: Path) -> None:
    output = run("new", "training", "cross_entropy").stdout
    finished_header(book / "notebooks/training/cross_entropy.py")
    [line] = [line for line in output.splitlines() if line.lstrip().startswith("- file:")]
    toc = f"root: book/index\nparts:\n  - caption: Training\n    chapters:\n{line}\n"
    (book / "_toc.yml").write_text(toc, encoding="utf8")
    assert [entry.slug for entry in read_entries(book)] == ["cross_entropy"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"source": "S01", "short": "Imbalance", "question": "Why does accuracy mislead here?"},
        {"short": "KL: which way?", "question": "Which way: KL(p, q) or KL(q, p)?"},
        {"short": "yes", "question": "# How so?"},
        {"short": "'quoted' - \"twice\"", "question": "Is 1 = 1?"},
    ],
)
def test_a_new_notebook_survives_jupytext_byte_for_byte(
    book: Path, root: Path, options: dict[str, str]
) -> None:
    notebook, _ = new_entry(book, "training", "cross_entropy", **options)
    text = notebook.read_text(encoding="utf8")
    config = load_jupytext_configuration_file(str(root / "jupytext.toml"))
    read = jupytext.reads(text, fmt="py:percent", config=config)
    stored = nbformat.reads(nbformat.writes(read), as_version=4)  # as JupyterLab keeps it
    assert jupytext.writes(stored, fmt="py:percent", config=config) == text
    header = read.metadata["lmprep"]
    assert header["short"] == options.get("short", "TODO at most five words")
    assert header["source"] == options.get("source", "none")


def test_a_new_notebook_has_every_block_in_order_and_parses(book: Path) -> None:
    new_entry(book, "training", "cross_entropy")
    entry = read_entry(finished_header(book / "notebooks/training/cross_entropy.py"))
    tagged = [cell for cell in entry.cells if cell.tags]
    assert [cell.tags for cell in tagged] == [(tag,) for tag in BLOCKS]
    assert [headings(cell.source)[0] for cell in tagged] == [(2, heading) for heading in BLOCKS.values()]
    prose = "\n\n".join(cell.source for cell in entry.cells if cell.kind == "markdown")
    assert [text for level, text in headings(prose) if level == 1] == [entry.question]
    for code in entry.code:
        ast.parse(code)
    source = entry.path.read_text(encoding="utf8")
    for convention in ("```{task} ", "```{solution} ", "\n# Try: ", "thesis=True", '"image": {"alt": '):
        assert convention in source


def test_a_new_sabotage_has_the_shape_that_its_runner_wants(book: Path) -> None:
    _, path = new_entry(book, "training", "cross_entropy")
    tree = ast.parse(path.read_text(encoding="utf8"))
    assert "cross_entropy" in (ast.get_docstring(tree) or "")
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert (function.name, [argument.arg for argument in function.args.args]) == ("sabotage", ["patch"])
    assert "from lmprep.training import" in ast.unparse(tree)


def test_every_guidance_is_marked_as_unwritten(book: Path) -> None:
    for path in new_entry(book, "training", "cross_entropy"):
        assert "TODO" in path.read_text(encoding="utf8")
        assert "<" not in path.read_text(encoding="utf8")  # no field left unfilled


@pytest.mark.parametrize("existing", ["notebooks/training/taken.py", "tests/training/sabotage_taken.py"])
def test_new_never_overwrites(book: Path, existing: str) -> None:
    path = book / existing
    path.parent.mkdir(parents=True)
    path.write_text("mine", encoding="utf8")
    assert f"{existing} exists already" in refused("new", "training", "taken")
    assert path.read_text(encoding="utf8") == "mine"
    assert [file for file in book.rglob("*.py") if file != path] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["optimization", "sgd"], ["part", "'optimization'", *PARTS]),
        (["training", "SGD"], ["slug", "'SGD'", "lower-case"]),
        (["training", "sgd-noise"], ["slug", "'sgd-noise'"]),
        (["training", "../sgd"], ["slug", "'../sgd'"]),
        (["training", "_sgd"], ["slug", "'_sgd'"]),
        (["training", "2sgd"], ["slug", "'2sgd'"]),
        (["training", ""], ["slug", "''"]),
        (["training", "sgd", "--source", "L31"], ["source", "'L31'", "L01 to L30"]),
        (["training", "sgd", "--source", "X01"], ["source", "'X01'"]),
        (["training", "sgd", "--source", "L1"], ["source", "'L1'"]),
        (["training", "sgd", "--short", "one two three four five six"], ["short", "five words"]),
        (["training", "sgd", "--question", "Explain SGD"], ["question", "question mark", "'Explain SGD'"]),
    ],
)
def test_new_names_the_argument_and_the_remedy(book: Path, arguments: list[str], named: list[str]) -> None:
    message = refused("new", *arguments)
    assert all(word in message for word in named)
    assert list(book.rglob("*.py")) == []


def test_a_slug_is_taken_in_the_whole_book(book: Path) -> None:
    finished(book, "training", "cross_entropy")
    message = refused("new", "evaluation", "cross_entropy")
    assert "'cross_entropy' is taken" in message
    assert "choose another" in message
