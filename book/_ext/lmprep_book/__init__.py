"""The book: running its notebooks, deriving its pages, and the Sphinx extension that makes its site."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: "Sphinx") -> dict[str, Any]:
    """Register the extension."""
    from lmprep_book.site import connect  # imports Sphinx, which running notebooks does not need

    return connect(app)
