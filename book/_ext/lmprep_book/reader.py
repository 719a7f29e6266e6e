"""Notebooks as they are read: sources with their executed outputs, and the generated pieces filled in.

Sphinx reads every source through `reads`; the copies for JupyterLab go through the same `expand`.
"""

import inspect
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jupytext
import nbformat
from sphinx.errors import SphinxError

from lmprep.entries import Entry, read_entries, read_entry
from lmprep.evidence import EVIDENCE_MIME
from lmprep.practice import TASKS
from lmprep_book.execute import executed_path, last_run

LEVELS = {1: "junior", 2: "mid level", 3: "senior"}
ASKED = {3: "in most interviews", 2: "often", 1: "now and then", 0: ""}

_DIRECTIVE = re.compile(r"^```\{(task|solution)\} *(\S+) *\n```[ \t]*$", re.M)
_H1 = re.compile(r"^# +.+$", re.M)


class NotExecuted(SphinxError):
    """There are no outputs that belong to a notebook's present code; the message names the remedy."""

    category = "Not executed"


def reads(text: str, root: str = ".") -> nbformat.NotebookNode:
    """The notebook of a source's `text`, with outputs, as Sphinx is to render it.

    Args:
        text: of one of the notebooks under `root`, py:percent.
        root: the project's folder.

    Raises:
        NotExecuted: it has not been run since its code, or a library file that it loads, was changed.
        ValueError: no notebook under `root` has this text.
    """
    folder = Path(root).resolve()
    paths = (path for path in folder.glob("notebooks/*/*.py") if path.read_text(encoding="utf8") == text)
    path = next(paths, None)
    if path is None:
        raise ValueError(f"no notebook under {folder / 'notebooks'} has the text that is to be read")
    entry = read_entry(path)
    notebook = jupytext.reads(text, fmt="py:percent")
    # Only code cells are paired: prose may have come, gone or moved since the run.
    here, there = ([c for c in n.cells if c.cell_type == "code"] for n in (notebook, executed(entry, folder)))
    for cell, done in zip(here, there, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        for output in cell.outputs:
            output.get("data", {}).pop(EVIDENCE_MIME, None)  # not for the eye; the same is there as HTML
    notebook.metadata = nbformat.from_dict(
        {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    )
    return expand(notebook, entry, book_entries(folder))


def executed(entry: Entry, root: Path) -> nbformat.NotebookNode:
    """The entry's executed notebook.

    Raises:
        NotExecuted: there is none that belongs to the present code.
    """
    out = root / "_build/executed"
    if last_run(entry, root, out) is None:
        path = os.path.relpath(entry.path, root)
        raise NotExecuted(f"{path} has no outputs of its present code: make one NB={entry.slug}")
    return nbformat.read(executed_path(entry, out), as_version=4)


@cache
def book_entries(root: Path) -> tuple[Entry, ...]:
    """The book's entries in their order, read once a process."""
    return tuple(read_entries(root))


def expand(
    notebook: nbformat.NotebookNode, entry: Entry, entries: Sequence[Entry], suffix: str = ".py"
) -> nbformat.NotebookNode:
    """Fill in what is generated, in place: the line under the H1, tasks and solutions.

    Args:
        notebook: of `entry`.
        entry: whose header is written out.
        entries: of the book; only these are linked to.
        suffix: of the files that links lead to.

    Raises:
        KeyError: a directive names a task that does not exist.
    """
    line = header_line(entry, entries, suffix)
    pending = True
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            cell.source = cell.source.replace("  # fmt: skip", "")  # for the formatter, not for readers
            continue
        if pending and (title := _H1.search(cell.source)):
            cell.source = f"{cell.source[: title.end()]}\n\n{line}\n{cell.source[title.end() :]}".rstrip()
            pending = False
        cell.source = _DIRECTIVE.sub(lambda found: _GENERATED[found[1]](found[2]), cell.source)
    return notebook


def header_line(entry: Entry, entries: Sequence[Entry], suffix: str = ".py") -> str:
    """Part, level, reading time, how often it is asked, what to read first, and the question in Chinese."""
    shorts = {other.slug: f"[{other.short}](../{other.part}/{other.slug}{suffix})" for other in entries}
    first = ", ".join(shorts[slug] for slug in entry.needs if slug in shorts)
    pieces = [
        entry.part.capitalize(),
        LEVELS[entry.level],
        f"{entry.minutes} min",
        f"asked {ASKED[entry.asked]}" if ASKED[entry.asked] else "",
        f"Read first: {first}" if first else "",
        f"中文：{entry.question_zh}",
    ]
    return " · ".join(piece for piece in pieces if piece)


def fenced(info: str, body: str) -> str:
    """`body` as a block of Markdown with a fence that nothing in it can close."""
    longest = max((len(ticks) for ticks in re.findall(r"`{3,}", body)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{info}\n{body}\n{fence}"


def _task(name: str) -> str:
    task = TASKS[name]
    hints = [fenced(f"{{dropdown}} Hint {number}", hint) for number, hint in enumerate(task.hints, 1)]
    return "\n\n".join([task.statement, *hints])


def _solution(name: str) -> str:
    source = inspect.getsource(TASKS[name].reference).rstrip()
    return fenced("{dropdown} Solution", fenced("python", source))


_GENERATED = {"task": _task, "solution": _solution}
