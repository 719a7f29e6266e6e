"""The book: running its notebooks, deriving its pages, and its Sphinx extension."""
