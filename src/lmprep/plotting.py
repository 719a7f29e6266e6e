"""One quiet figure style for the whole book, and the few drawing functions that several pages share.

Figures keep a white ground of their own; in the book's dark mode they stand on a light card.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from cycler import cycler

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import ArrayLike

# Okabe & Ito's colors, told apart with any color vision, darkest contrasts first.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d")

_STYLE: Any = {
    "figure.figsize": (7.0, 3.4),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "image.cmap": "Blues",
    "font.family": ["DejaVu Sans"],
}


def use_style() -> None:
    """Set the book's style, and sharp PNG figures where a notebook shows them."""
    mpl.rcParams.update(_STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("retina")


def heatmap(
    ax: "Axes",
    values: "ArrayLike",
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    row_title: str = "",
    column_title: str = "",
    vmin: float | None = 0.0,
    vmax: float | None = None,
) -> "AxesImage":
    """Draw a matrix, first row on top, with optional tick labels.

    Args:
        ax: where to draw.
        values: (R, C).
        rows, columns: R and C tick labels, or nothing.
        row_title, column_title: axis titles.
        vmin, vmax: ends of the color scale.

    Raises:
        ValueError: `values` is no matrix, or the number of labels does not fit it.
    """
    import numpy as np

    matrix = np.asarray(values)
    if matrix.ndim != 2:
        raise ValueError(f"values must be a matrix (R, C), got shape {matrix.shape}")
    for name, labels, size in (("rows", rows, matrix.shape[0]), ("columns", columns, matrix.shape[1])):
        if labels and len(labels) != size:
            raise ValueError(f"{name} has {len(labels)} labels for {size} cells")
    image = ax.imshow(matrix, aspect="auto", vmin=vmin, vmax=vmax, interpolation="nearest")
    ax.grid(False)
    ax.set_xlabel(column_title)
    ax.set_ylabel(row_title)
    if columns:
        ax.set_xticks(range(len(columns)), columns)
    if rows:
        ax.set_yticks(range(len(rows)), rows)
    return image


def label_lines(ax: "Axes") -> None:
    """Write each line's label right of its last point, in its color: no legend to look up.

    Call it last: where labels would overlap they are moved up, for the limits that hold then.
    """
    import numpy as np

    ax.get_ylim()  # settles the limits, which `transData` reads
    ends = []
    for line in ax.get_lines():
        points = np.asarray(line.get_xydata())
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) and not str(line.get_label()).startswith("_"):
            height = ax.transData.transform(points[-1])[1] * 72 / ax.figure.dpi
            ends.append((height, points[-1], line))
    free = -np.inf  # in points, like all heights here
    for height, point, line in sorted(ends, key=lambda end: end[0]):
        placed = max(height, free)
        ax.annotate(str(line.get_label()), point, xytext=(6, placed - height), textcoords="offset points",
                    va="center", color=line.get_color(), fontsize=9, annotation_clip=False)  # fmt: skip
        free = placed + 11
