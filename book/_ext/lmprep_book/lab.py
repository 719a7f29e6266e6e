"""Make the reader's own copies of the notebooks: `python -m lmprep_book.lab` fills `work/` for JupyterLab.

A copy that exists is the reader's: it is never written to.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jupytext
import nbformat
from pybtex.database import parse_file

from lmprep.entries import Entry
from lmprep_book.reader import book_entries, expand


def copy_of(entry: Entry, entries: Sequence[Entry]) -> nbformat.NotebookNode:
    """The entry as a notebook without outputs, which remembers what it was made from."""
    notebook = expand(jupytext.read(entry.path, fmt="py:percent"), entry, entries, suffix=".ipynb")
    references = entry.path.parents[2] / "book/references.bib"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = in_words(cell.source, references)
    made_from = json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells])
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "lmprep_copy": hashlib.sha256(made_from.encode()).hexdigest(),
        }
    )
    return notebook


def in_words(text: str, references: Path) -> str:
    """The text with its citations written out, since JupyterLab has no bibliography."""

    def written_out(found: re.Match[str]) -> str:
        names = _authors_and_years(references)
        cited = [names[key.strip()] for key in found[2].split(",")]
        if found[1] == "t":
            return ", ".join(f"{authors} ({year})" for authors, year in cited)
        return f"({'; '.join(f'{authors}, {year}' for authors, year in cited)})"

    return re.sub(r"\{cite:([tp])\}`([^`]+)`", written_out, text)


@cache
def _authors_and_years(references: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for key, entry in parse_file(references).entries.items():
        names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons["author"]]
        names = [re.sub(r"[{}\\]", "", name) for name in names]
        authors = " and ".join(names) if len(names) <= 2 else f"{names[0]} et al."
        found[key] = (authors, entry.fields["year"])
    return found


def place(entry: Entry, entries: Sequence[Entry], work: Path) -> str:
    """Put a copy under `work` unless there is one; returns what to tell the reader."""
    notebook = copy_of(entry, entries)
    path = work / entry.part / f"{entry.slug}.ipynb"
    if path.exists():
        if _made_from(path) == notebook.metadata["lmprep_copy"]:
            return f"{path}: yours, kept"
        return (
            f"{path}: yours, kept. The book has a newer one: to have both, rename yours and run this again."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.new")
    nbformat.write(notebook, whole)
    whole.rename(path)
    return f"{path}: new"


def _made_from(path: Path) -> str | None:
    try:
        metadata: dict[str, str] = json.loads(path.read_text(encoding="utf8"))["metadata"]
    except (ValueError, KeyError):  # the reader may do with it as they like
        return None
    return metadata.get("lmprep_copy")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser("lmprep_book.lab", description="Copy the notebooks into work/, once.")
    parser.add_argument("--root", type=Path, default=Path(), help="of the project: the current folder")
    root = parser.parse_args(arguments).root
    entries = book_entries(root.resolve())
    for entry in entries:
        print(place(entry, entries, root / "work"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
