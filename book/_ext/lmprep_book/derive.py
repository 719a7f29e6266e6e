"""Write the derived pages, after the notebooks have run and before Sphinx: `python -m lmprep_book.derive`.

Questions and errors come from the sources, evidence from the records in the executed notebooks.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from posixpath import normpath
from typing import Any

from nbformat import NotebookNode

from lmprep.entries import BLOCKS, Entry
from lmprep.evidence import EVIDENCE_MIME, summary
from lmprep_book.reader import ASKED, LEVELS, NotExecuted, book_entries, executed, fenced

Record = dict[str, Any]

_CODE_OR_LINK = re.compile(r"(`+).*?\1|\]\((?![a-z]+:|/)(?P<relative>[^)\s]+)\)", re.S)


def records_of(notebook: NotebookNode) -> list[Record]:
    """What an executed notebook has claimed and compared, in order; as emitted by `lmprep.evidence`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data[EVIDENCE_MIME] for output in outputs if EVIDENCE_MIME in output.get("data", {})]


def questions_page(entries: Sequence[Entry], evidence: dict[str, list[Record]]) -> str:
    """The index of questions."""
    rows = []
    for entry in entries:
        link, asked = f"[{_cell(entry.question)}]({_page(entry)})", ASKED[entry.asked] or "–"
        checks = f"[{len(evidence[entry.slug])}](#evidence-{entry.slug})"
        rows.append(
            f"| {link} | {entry.part} | {LEVELS[entry.level]} | {entry.minutes} | {asked} | {checks} |"
        )
    return "\n".join(
        [
            "# Index of questions\n",
            "*Asked* is how often interviews do, *checks* the number of claims and comparisons on the page: "
            "each must hold, or the book is not built.\n",
            "| Question | Part | Level | Minutes | Asked | Checks |",
            "|---|---|---|--:|---|--:|",
            *rows,
            "",
        ]
    )


def errors_page(entries: Sequence[Entry]) -> str:
    """Each entry's errors, under a heading that leads to the entry."""
    sections = [
        f"# {BLOCKS['errors']}\n\nWhat a candidate might well say, and what it would cost. By question.\n"
    ]
    for entry in entries:
        tagged = [place for place, cell in enumerate(entry.cells) if "errors" in cell.tags]
        cells = entry.cells[tagged[0] : tagged[-1] + 1] if tagged else ()
        blocks = [
            _relink(cell.source, entry) if cell.kind == "markdown" else fenced("python", cell.source)
            for cell in cells
        ]
        text = "\n\n".join(blocks).removeprefix(f"## {BLOCKS['errors']}").strip()
        sections.append(f"## [{entry.short}]({_page(entry)})\n\n*{entry.question}*\n\n{text}\n")
    return "\n".join(sections)


def evidence_page(entries: Sequence[Entry], evidence: dict[str, list[Record]]) -> str:
    """Every claim and comparison with its number; totals on top."""
    records = [record for entry in entries for record in evidence[entry.slug]]
    claims = [record for record in records if record["kind"] == "claim"]
    theses = [record for record in claims if record["thesis"]]
    pages = [
        "# Evidence\n",
        f"Entries: **{len(entries)}**. Claims: **{len(claims)}**, of which theses: **{len(theses)}**. "
        f"Comparisons with functions that are not ours: **{len(records) - len(claims)}**.\n",
        "The numbers are of the last run. A claim outside its bound, or a difference above its tolerance, "
        "stops the build. What a thesis measures is also broken on purpose by a test, and the claim must "
        "notice.\n",
    ]
    for entry in entries:
        rows = [_evidence_row(record) for record in evidence[entry.slug]]
        table = ["| Kind | What | Measured | Allowed |", "|---|---|---|---|", *rows, ""] if rows else []
        pages += [f"(evidence-{entry.slug})=\n## [{entry.short}]({_page(entry)})\n", *table]
    return "\n".join(pages)


def _evidence_row(record: Record) -> str:
    if record["kind"] == "claim":
        kind, what = "thesis" if record["thesis"] else "claim", _plain(record["text"])
    else:
        key = record["key"].replace("_", " ")
        kind, what = "agrees", f"{_plain(key)} with `{_cell(record['reference'])}`"
    measured, allowed = summary(record)
    return f"| {kind} | {what} | {_plain(measured)} | {_plain(allowed)} |"


def _page(entry: Entry) -> str:
    """The entry's source, as seen from the derived pages."""
    return f"../../{entry.docname}.py"


def _relink(text: str, entry: Entry) -> str:
    """The entry's Markdown with its relative links as seen from the derived pages."""

    def from_here(found: re.Match[str]) -> str:
        target = found["relative"]
        if target is None:
            return found[0]  # code
        here = _page(entry) + target if target.startswith("#") else f"../../notebooks/{entry.part}/{target}"
        return f"]({normpath(here)})"

    return _CODE_OR_LINK.sub(from_here, text)


def _cell(text: str) -> str:
    """Markdown that ends no cell of a table."""
    return text.replace("|", r"\|")


def _plain(text: str) -> str:
    """Text whose signs mean nothing to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|$#~])", r"\\\1", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser("lmprep_book.derive", description="Write book/derived/*.md.")
    parser.add_argument("--root", type=Path, default=Path(), help="of the project: the current folder")
    root = parser.parse_args(arguments).root.resolve()
    entries = book_entries(root)
    try:
        evidence = {entry.slug: records_of(executed(entry, root)) for entry in entries}
    except NotExecuted as error:
        print(error, file=sys.stderr)
        return 1
    folder = root / "book/derived"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "questions": questions_page(entries, evidence),
        "errors": errors_page(entries),
        "evidence": evidence_page(entries, evidence),
    }
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf8") != text:  # else Sphinx would read it again
            path.write_text(text, encoding="utf8")
            print(f"wrote {path.relative_to(root)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
