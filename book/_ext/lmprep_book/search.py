"""A search index for English, identifiers and Chinese, split in the same way here and in the browser.

Chinese is written without spaces. Two dictionaries, one for the text and one in the browser for the query,
would cut it at different places; pairs of neighboring characters cannot disagree.
"""

import re
from itertools import pairwise

from sphinx.search.en import SearchEnglish

_RUN = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")  # Chinese characters, or others that make words


class SearchBoth(SearchEnglish):
    """English word stems; characters of Chinese, and pairs of them."""

    lang = "lmprep"
    language_name = "English and Chinese"
    js_splitter_code = r"""
splitQuery = (query) =>
  (query.match(/[\u3400-\u9fff]+|(?:(?![\u3400-\u9fff])[\p{Letter}\p{Number}_])+/gu) || []).flatMap((run) =>
    /^[\u3400-\u9fff]{2}/.test(run) ? [...run].slice(1).map((next, place) => run[place] + next) : [run]
  );
"""

    def split(self, input: str) -> list[str]:
        """Words as they stand; of a run of Chinese, each character and each pair of neighbors."""
        terms: list[str] = []
        for run in _RUN.findall(input):
            chinese = "\u3400" <= run[0] <= "\u9fff"
            terms += [*run, *(first + second for first, second in pairwise(run))] if chinese else [run]
        return terms
