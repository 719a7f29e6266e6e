"""Entries are read as their sources say, and sources that say it wrongly are refused with the file's name."""

from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import yaml

from lmprep.entries import BLOCKS, PARTS, Entry, headings, read_entries, read_entry

HEADER: dict[str, Any] = {
    "source": "L13",
    "short": "Self-attention",
    "question_zh": "什么是自注意力？",
    "level": 2,
    "asked": 3,
    "needs": ["rnn_gates"],
    "tasks": ["causal_attention"],
}
CELLS = [
    ("markdown", "# Why divide by √d?", []),
    ("markdown", "## The 30-second answer\n\nBecause it saturates.", ["answer"]),
    ("code", "x = 1", []),
    ("markdown", "More to say.", ["answer", "sheet"]),
    ("code", "print(x)\n", ["answer"]),
]


def write(path: Path, header: Any = HEADER, cells: list[tuple[str, str, list[str]]] = CELLS) -> Path:
    """Write a notebook source with `header` under `lmprep:`."""
    notebook = nbformat.v4.new_notebook()
    if header is not None:
        notebook.metadata["lmprep"] = header
    notebook.metadata["jupytext"] = {"notebook_metadata_filter": "lmprep,-all"}
    for kind, source, tags in cells:
        new = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        notebook.cells.append(new(source, metadata={"tags": tags} if tags else {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    jupytext.write(notebook, path, fmt="py:percent")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notebooks" / "architectures" / "self_attention_math.py"


def with_header(**changes: Any) -> dict[str, Any]:
    return HEADER | changes


def entry(path: Path, **changes: Any) -> Entry:
    return read_entry(write(path, with_header(**changes)))


# --- one entry ---------------------------------------------------------------------------------------------


def test_every_field_is_read(path: Path) -> None:
    entry = read_entry(write(path))
    assert (entry.path, entry.slug, entry.part) == (path, "self_attention_math", "architectures")
    assert entry.docname == "notebooks/architectures/self_attention_math"
    assert (entry.source, entry.short, entry.level, entry.asked) == ("L13", "Self-attention", 2, 3)
    assert (entry.question, entry.question_zh) == ("Why divide by √d?", "什么是自注意力？")
    assert (entry.needs, entry.tasks) == (("rnn_gates",), ("causal_attention",))
    assert entry.code == ("x = 1", "print(x)")
    assert [cell.kind for cell in entry.cells] == [kind for kind, _, _ in CELLS]
    assert entry.cells[3].tags == ("answer", "sheet")
    assert entry.cells[0].tags == ()


def test_a_tag_gives_its_markdown_alone(path: Path) -> None:
    entry = read_entry(write(path))
    assert entry.tagged("answer") == "## The 30-second answer\n\nBecause it saturates.\n\nMore to say."
    assert entry.tagged("sheet") == "More to say."
    assert entry.tagged("rubric") == ""


def test_lists_may_be_left_out_or_empty(path: Path) -> None:
    header = {name: value for name, value in HEADER.items() if name not in ("needs", "tasks")}
    entry = read_entry(write(path, header))
    assert entry.needs == entry.tasks == ()
    assert read_entry(write(path, with_header(needs=[], tasks=None))).tasks == ()


@pytest.mark.parametrize("none", [None, "none"])
def test_an_entry_may_have_no_source(path: Path, none: str | None) -> None:
    assert entry(path, source=none).source is None


def test_a_heading_in_a_code_block_is_no_title(path: Path) -> None:
    cells = [("markdown", "```python\n# not the title\n```\n\n# The title?", []), ("code", "# nor this", [])]
    assert read_entry(write(path, cells=cells)).question == "The title?"


def test_minutes_grow_with_prose_and_code_but_not_with_blank_lines(path: Path) -> None:
    def minutes(kind: str, source: str) -> int:
        return read_entry(write(path, cells=[("markdown", "# Why so?", []), (kind, source, [])])).minutes

    assert minutes("code", "x = 1") == 1
    assert minutes("markdown", "word " * 900) == 5
    assert minutes("code", "x = 1\n" * 125) == minutes("code", "x = 1\n\n\n" * 125) == 5


@pytest.mark.parametrize("name", ["source", "short", "question_zh", "level", "asked"])
def test_a_missing_field_is_named(path: Path, name: str) -> None:
    header = {key: value for key, value in HEADER.items() if key != name}
    with pytest.raises(ValueError, match=f"lacks {name}$") as caught:
        read_entry(write(path, header))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "two"),
        ("level", None),
        ("level", 2.5),
        ("level", True),
        ("asked", "often"),
        ("asked", [3]),
        ("short", 3),
        ("short", None),
        ("question_zh", None),
        ("source", 13),
        ("source", ["L13"]),
        ("needs", "rnn_gates"),
        ("needs", {"rnn_gates": 1}),
        ("needs", [1]),
        ("tasks", "causal_attention"),
        ("tasks", 3),
    ],
)
def test_a_field_of_the_wrong_type_is_named(path: Path, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"`{name}`") as caught:
        entry(path, **{name: value})
    assert str(path) in str(caught.value)


def test_an_unknown_field_is_named(path: Path) -> None:
    with pytest.raises(ValueError, match=r"`need`"):
        entry(path, need=["rnn_gates"])


@pytest.mark.parametrize("header", [None, "L13", ["L13"], {}])
def test_no_header_is_refused(path: Path, header: Any) -> None:
    with pytest.raises(ValueError, match="lmprep") as caught:
        read_entry(write(path, header))
    assert str(path) in str(caught.value)


def test_no_title_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="no H1"):
        read_entry(write(path, cells=[("markdown", "## A section", []), ("code", "# x", [])]))


# --- the book ----------------------------------------------------------------------------------------------


def write_toc(root: Path, toc: Any) -> None:
    (root / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf8")


def test_entries_come_in_the_order_of_the_toc_at_any_depth(tmp_path: Path) -> None:
    for name in ("b", "a", "c", "not_listed"):
        write(tmp_path / "notebooks" / "training" / f"{name}.py")
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "parts": [
            {
                "caption": "Training",
                "chapters": [
                    {"file": "book/training", "sections": [{"file": "notebooks/training/b"}]},
                    {"file": "notebooks/training/a.py", "sections": [{"file": "notebooks/training/c"}]},
                    {"url": "https://example.org"},
                ],
            }
        ],
    }
    write_toc(tmp_path, toc)
    assert [entry.slug for entry in read_entries(tmp_path)] == ["b", "a", "c"]


def test_a_toc_without_parts_is_read(tmp_path: Path) -> None:
    write(tmp_path / "notebooks" / "training" / "a.py")
    write_toc(tmp_path, {"root": "book/index", "chapters": [{"file": "notebooks/training/a"}]})
    assert [entry.slug for entry in read_entries(tmp_path)] == ["a"]
    write_toc(tmp_path, {"root": "book/index"})
    assert read_entries(tmp_path) == []


def test_a_notebook_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_toc(tmp_path, {"root": "book/index", "chapters": [{"file": "notebooks/training/absent"}]})
    with pytest.raises(ValueError, match="notebooks/training/absent"):
        read_entries(tmp_path)


def test_the_books_own_entries_are_read(root: Path) -> None:
    entries = read_entries(root)
    assert entries
    assert all(entry.part in PARTS for entry in entries)


def test_every_part_has_its_folders(root: Path) -> None:
    assert len(PARTS) == len(set(PARTS)) == 10
    assert {path.name for path in (root / "notebooks").iterdir() if path.is_dir()} <= set(PARTS)


def test_blocks_are_those_that_readers_rely_on() -> None:
    assert list(BLOCKS) == ["answer", "rubric", "errors", "followups", "exercise", "references"]


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("# One\n\ntext\n\n## Two  \n", [(1, "One"), (2, "Two")]),
        ("#no heading\n####### nor this\n#\n", []),
        ("```python\n# a comment\n```\n# One", [(1, "One")]),
        ("````\n```\n# inner\n```\n````\n## Two", [(2, "Two")]),
        ("~~~\n# inner\n~~~\n", []),
        ("```{task} name\n```\n### Three", [(3, "Three")]),
        (":::{dropdown} Four?\n#### Four\n:::", [(4, "Four")]),
        ("", []),
    ],
)
def test_headings_are_those_outside_code(markdown: str, found: list[tuple[int, str]]) -> None:
    assert headings(markdown) == found
