"""Books of notebooks that run in a second: no torch, and a library of their own to change."""

from collections.abc import Mapping
from pathlib import Path

HEADER = """\
# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   lmprep: {source: none, short: SHORT, question_zh: 这是什么？, level: 2, asked: 3, needs: [NEEDS]}
# ---

# %% [markdown]
# # What does SHORT do?

"""

LIBRARY = {
    "__init__.py": "",
    "first.py": "VALUE = 1\n",
    "first.js": "// shown by first.py\n",
    "second.py": "from lmprep.third import VALUE\n",
    "third.py": "VALUE = 3\n",
    "unused.py": "",
}


def notebook(*cells: str, short: str = "Nothing much", needs: str = "") -> str:
    """A source with these cells; those that begin with `# %%` bring their own marker."""
    header = HEADER.replace("SHORT", short).replace("NEEDS", needs)
    return header + "\n\n".join(cell if cell.startswith("# %%") else f"# %%\n{cell}" for cell in cells) + "\n"


def write_book(root: Path, notebooks: Mapping[str, str], library: Mapping[str, str] = LIBRARY) -> Path:
    """A project with `notebooks` (such as `training/loss` -> source), in that order."""
    files = {f"notebooks/{name}.py": source for name, source in notebooks.items()}
    files |= {f"src/lmprep/{name}": text for name, text in library.items()}
    files["requirements.lock"] = "nothing==1\n"
    chapters = "".join(f"- file: notebooks/{name}\n" for name in notebooks)
    files["_toc.yml"] = f"format: jb-book\nroot: book/index\nchapters:\n{chapters}"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return root
