"""The command `lmprep`, run inside a checkout of the book."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lmprep.entries import PARTS, read_entries
from lmprep.scaffold import new_entry

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_PARTS = ", ".join(PARTS)


@app.callback()
def main() -> None:
    """The language-model interview book: its entries, and the start of a new one."""


@app.command("list")
def list_entries(part: Annotated[str | None, typer.Option(help=f"only this part: {_PARTS}")] = None) -> None:
    """List the entries in the book's order."""
    if part not in (None, *PARTS):
        raise _failure(f"--part must be one of {_PARTS}; got {part!r}")
    try:
        entries = [entry for entry in read_entries(_root()) if part in (None, entry.part)]
    except ValueError as error:
        raise _failure(str(error)) from None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("part", "slug", "short"):
        table.add_column(name, no_wrap=name == "slug", overflow="fold")
    for name in ("level", "asked"):
        table.add_column(name, justify="right")
    table.add_column("tasks", overflow="fold")
    for entry in entries:
        texts = (
            entry.part,
            entry.slug,
            entry.short,
            str(entry.level),
            str(entry.asked),
            " ".join(entry.tasks),
        )
        table.add_row(*map(escape, texts))
    console = Console()
    console.print(table)
    console.print(f"{len(entries)} entries" if len(entries) != 1 else "1 entry", highlight=False)


@app.command()
def new(
    part: Annotated[str, typer.Argument(metavar="PART", help=_PARTS)],
    slug: Annotated[
        str, typer.Argument(metavar="SLUG", help="the entry's id, such as rnn_gates; it never changes")
    ],
    source: Annotated[str | None, typer.Option(help="S01 to S30 or L01 to L30")] = None,
    short: Annotated[str, typer.Option(help="the sidebar's title, at most five words")] = "",
    question: Annotated[str, typer.Option(help="as an interviewer says it")] = "",
) -> None:
    """Start an entry: its notebook and its sabotage, from a template."""
    root = _root()
    try:
        notebook, sabotage = new_entry(root, part, slug, source=source, short=short, question=question)
    except (ValueError, FileExistsError) as error:
        raise _failure(str(error)) from None
    typer.echo(
        f"""\
Wrote {notebook.relative_to(root)}
and   {sabotage.relative_to(root)}

1. Replace every TODO; the contract test refuses what is left.
2. Add this line to _toc.yml, among the chapters of its part:
      - file: notebooks/{part}/{slug}
3. make one NB={slug}            run it, reproduce it, render its page
   make one NB={slug} SEEDS=5    do its claims hold for other seeds?
   make quick{" " * (len(slug) + 13)}lint and the contract of all entries"""
    )


def _root() -> Path:
    """The nearest folder, from here upwards, that holds the book."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").exists():
            return folder
    raise _failure(f"no _toc.yml in {here} or above it: run lmprep inside a checkout of the book")


def _failure(message: str) -> typer.Exit:
    """Say what went wrong; raise what comes back."""
    typer.echo(f"Error: {message}", err=True)
    return typer.Exit(2)


if __name__ == "__main__":
    app()
