"""Run, verify and render one entry: `python -m lmprep_book.one SLUG [--seeds N]`.

Runs it for the seeds 0 to N − 1 and shows how close each claim comes to its bound; then the contract, the
sabotage and the reproduction of its outputs; then its page, alone.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from rich.console import Console
from rich.table import Table

from lmprep.entries import Entry, read_entry
from lmprep.evidence import summary
from lmprep_book.derive import records_of
from lmprep_book.execute import execute, executed_path
from lmprep_book.kernel import NotebookFailed


def margin(record: dict[str, Any]) -> float:
    """Distance of a claim's value from its nearest bound, as a share of the bound, or of the value at 0."""
    value = record["value"]
    return min(abs(value - bound) / (abs(bound) or abs(value) or 1.0) for bound in record["bounds"].values())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser("lmprep_book.one", description=__doc__.splitlines()[0])
    parser.add_argument("slug", help="the entry's name, such as self_attention_math")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds its claims must hold for")
    options = parser.parse_args(arguments)
    root = Path().resolve()
    paths = list(root.glob(f"notebooks/*/{Path(options.slug).stem}.py"))
    if not paths:
        parser.error(f"there is no notebooks/*/{options.slug}.py; `lmprep list` shows the entries")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        entry = read_entry(paths[0])
    except ValueError as error:
        parser.error(str(error))
    if not _run_seeds(entry, root, options.seeds):
        return 1
    tests = [sys.executable, "-m", "pytest", "tests/book", "-m", "not site", "-k", entry.slug]
    if verified := subprocess.run(tests).returncode:
        return verified
    return _render(entry, root)


def _run_seeds(entry: Entry, root: Path, seeds: int) -> bool:
    """Run the entry for each seed, then show its claims over the seeds; whether all held."""
    found = []
    for seed in range(seeds):
        out = root / "_build" / (f"executed-seed-{seed}" if seed else "executed")
        try:
            run = execute(entry, root, out, seed)
        except NotebookFailed as failure:
            print(f"seed {seed}: FAILED\n{failure}")
            continue
        print(f"seed {seed}: {run['cpu_seconds']:.1f} CPU-s, {run['peak_mb']} MB", flush=True)
        notebook = nbformat.read(executed_path(entry, out), as_version=4)
        found.append({record["key"]: record for record in records_of(notebook)})
    if found:
        table = Table("claim", "lowest", "highest", "bounds", "closest to a bound")
        table.columns[0].no_wrap = True
        for key, record in found[0].items():
            if record["kind"] == "claim":
                values = [run[key]["value"] for run in found]
                closest = min(margin(run[key]) for run in found)
                low, high = f"{min(values):.4g}", f"{max(values):.4g}"
                table.add_row(key, low, high, summary(record)[1], f"{closest:.0%}")
        Console().print(table)
    return len(found) == seeds


def _render(entry: Entry, root: Path) -> int:
    """Build the entry's page as a book of its own, in _build/one/<slug>; returns 0 if nothing warns."""
    folder = root / "_build/one" / entry.slug
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The bibliography is part of it, so that citations resolve; links to other entries stay text.
    toc = f"format: jb-book\nroot: {entry.docname}\nchapters:\n  - file: book/bibliography\n"
    (folder / "_toc.yml").write_text(toc, encoding="utf8")
    script = Path(sys.executable).with_name("jupyter-book")
    options = ["--toc", f"{folder}/_toc.yml", "--path-output", f"{folder}", "--quiet"]
    done = subprocess.run([f"{script}", "build", ".", *options], capture_output=True, text=True)
    page = folder / "_build/html" / f"{entry.docname}.html"
    if done.returncode or not page.exists():
        print(done.stdout + done.stderr)
        return done.returncode or 1
    # With one page alone, a link to another entry has nowhere to lead: that warning means nothing here.
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line and "xref_missing" not in line]
    print(*warnings, f"Open {page.as_uri()}", sep="\n")
    return 1 if warnings else 0


if __name__ == "__main__":
    sys.exit(main())
