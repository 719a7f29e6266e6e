"""Reading the book's entries from their only source, the py:percent notebooks.

Everything derived (header lines, index, errors, evidence, contract tests) starts from `read_entry`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = (
    "foundations",
    "architectures",
    "training",
    "pretraining",
    "transfer",
    "data",
    "evaluation",
    "compression",
    "interpretability",
    "trust",
)

# The fixed blocks of an entry, in their order: cell tag -> heading.
BLOCKS = {
    "answer": "The 30-second answer",
    "rubric": "What the interviewer listens for",
    "errors": "What common answers get wrong",
    "followups": "Follow-ups",
    "exercise": "Your turn",
    "references": "References",
}

_WORDS_PER_MINUTE = 180
_CODE_LINES_PER_MINUTE = 12


@dataclass(frozen=True)
class Cell:
    """One cell: `kind` is "markdown" or "code"."""

    kind: str
    source: str
    metadata: dict[str, Any]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("tags", ()))


@dataclass(frozen=True)
class Entry:
    """One entry of the book, as its source says it. The slug is its id everywhere."""

    path: Path
    source: str | None
    short: str
    question: str
    question_zh: str
    level: int
    asked: int
    needs: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def part(self) -> str:
        return self.path.parent.name

    @property
    def docname(self) -> str:
        """The page's name in the book, such as `notebooks/architectures/self_attention_math`."""
        return f"notebooks/{self.part}/{self.slug}"

    @property
    def code(self) -> tuple[str, ...]:
        """The code cells' sources: what the outputs depend on."""
        return tuple(cell.source for cell in self.cells if cell.kind == "code")

    @property
    def minutes(self) -> int:
        """Reading time, from the length of prose and code."""
        prose = sum(len(re.findall(r"[^\W\d_]{2,}", c.source)) for c in self.cells if c.kind == "markdown")
        code = sum(len([line for line in source.splitlines() if line.strip()]) for source in self.code)
        return max(1, round(prose / _WORDS_PER_MINUTE + code / _CODE_LINES_PER_MINUTE))

    def tagged(self, tag: str) -> str:
        """The Markdown of the cells with `tag`, joined; empty if there is none."""
        return "\n\n".join(c.source for c in self.cells if c.kind == "markdown" and tag in c.tags)


def read_entry(path: Path) -> Entry:
    """Parse one notebook source.

    Raises:
        ValueError: the header lacks the `lmprep` block or one of its fields, or there is no H1.
    """
    import jupytext

    notebook = jupytext.read(path, fmt="py:percent")
    header = notebook.metadata.get("lmprep")
    if header is None:
        raise ValueError(f"{path}: no `lmprep:` block under `jupyter:` in the header")
    missing = [name for name in ("source", "short", "question_zh", "level", "asked") if name not in header]
    if missing:
        raise ValueError(f"{path}: the `lmprep:` header lacks {', '.join(missing)}")
    cells = tuple(Cell(c.cell_type, c.source, dict(c.metadata)) for c in notebook.cells)
    prose = "\n\n".join(cell.source for cell in cells if cell.kind == "markdown")
    titles = re.findall(r"^# +(.+)$", prose, re.M)
    if not titles:
        raise ValueError(f"{path}: no H1 (the interviewer's question)")
    return Entry(
        path=path,
        source=None if header["source"] in (None, "none") else str(header["source"]),
        short=str(header["short"]),
        question=titles[0].strip(),
        question_zh=str(header["question_zh"]),
        level=int(header["level"]),
        asked=int(header["asked"]),
        needs=tuple(header.get("needs") or ()),
        tasks=tuple(header.get("tasks") or ()),
        cells=cells,
    )


def read_entries(root: Path) -> list[Entry]:
    """All entries that `_toc.yml` under `root` names, in its order.

    Raises:
        ValueError: `_toc.yml` names a notebook that is not there.
    """
    import yaml

    entries = []
    for file in _files_in(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))):
        if not file.startswith("notebooks/"):
            continue
        path = root / f"{file}.py"
        if not path.exists():
            raise ValueError(f"_toc.yml names {file}, but {path} does not exist")
        entries.append(read_entry(path))
    return entries


def _files_in(node: Any) -> list[str]:
    """Every `file:` of a parsed `_toc.yml`, depth first."""
    if isinstance(node, list):
        return [file for item in node for file in _files_in(item)]
    if not isinstance(node, dict):
        return []
    own = [str(node["file"]).removesuffix(".py")] if "file" in node else []
    return own + [file for value in node.values() if isinstance(value, list) for file in _files_in(value)]
