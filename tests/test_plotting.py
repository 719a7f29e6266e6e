"""The style is set; the drawing functions draw what they are given and refuse what does not fit."""

from collections.abc import Iterator
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from lmprep.plotting import COLORS, heatmap, label_lines, use_style


@pytest.fixture
def ax() -> Iterator[Axes]:
    with mpl.rc_context():
        use_style()
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def contrast_on_white(color: str) -> float:
    """The contrast ratio of WCAG 2.2 against a white ground."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 1.05 / (float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05)


def labels(ax: Axes) -> dict[str, float]:
    """The y position of each text that `label_lines` wrote."""
    return {text.get_text(): float(text.xy[1]) for text in ax.texts}  # type: ignore[attr-defined]


def test_the_style_is_in_force(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1])
    assert ax.get_lines()[0].get_color() == COLORS[0]
    assert not ax.spines["top"].get_visible()
    assert to_rgb(ax.get_facecolor()) == to_rgb(ax.figure.get_facecolor()) == (1.0, 1.0, 1.0)


def test_colors_differ_and_the_first_three_stand_out_on_white() -> None:
    assert len({to_rgb(color) for color in COLORS}) == len(COLORS)
    assert all(contrast_on_white(color) >= 3 for color in COLORS[:3])  # WCAG 1.4.11, graphical objects


def test_a_heatmap_shows_the_matrix_first_row_on_top(ax: Axes) -> None:
    values = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    rows, columns = ["a", "b"], ["x", "y", "z"]
    image = heatmap(ax, values, rows=rows, columns=columns, row_title="rows", column_title="columns")
    assert np.array_equal(np.asarray(image.get_array()), values.numpy())
    top, bottom = ax.get_ylim()[::-1]
    assert top < bottom
    assert [label.get_text() for label in ax.get_yticklabels()] == rows
    assert [label.get_text() for label in ax.get_xticklabels()] == columns
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("rows", "columns")


def test_the_color_scale_starts_at_zero_unless_told(ax: Axes) -> None:
    assert heatmap(ax, [[1.0, 2.0]]).get_clim() == (0.0, 2.0)
    assert heatmap(ax, [[1.0, 2.0]], vmin=None).get_clim() == (1.0, 2.0)
    assert heatmap(ax, [[-1.0, 0.5]], vmin=-1, vmax=1).get_clim() == (-1.0, 1.0)


@pytest.mark.parametrize("values", [1.0, [1.0, 2.0], np.zeros((2, 2, 2)), []], ids=["0", "1", "3", "empty"])
def test_what_is_no_matrix_is_refused(ax: Axes, values: object) -> None:
    with pytest.raises(ValueError, match=r"values must be a matrix \(R, C\)"):
        heatmap(ax, values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rows", "columns"])
@pytest.mark.parametrize("wrong", [["a"], ["a", "b", "c"]])
def test_labels_that_do_not_fit_are_refused(ax: Axes, name: str, wrong: list[str]) -> None:
    with pytest.raises(ValueError, match=name):
        heatmap(ax, np.zeros((2, 2)), **{name: wrong})


def test_each_labelled_line_is_named_at_its_last_point_in_its_color(ax: Axes) -> None:
    ax.plot([0, 1, 2], [5, 4, 3], label="down")
    ax.plot([0, 1], [0, 1], label="up")
    ax.axhline(2.0)
    label_lines(ax)
    assert labels(ax) == {"down": 3.0, "up": 1.0}
    named = {text.get_text(): text.get_color() for text in ax.texts}
    assert named == {line.get_label(): line.get_color() for line in ax.get_lines()[:2]}


def test_labels_lie_right_of_the_line_and_inside_the_figure(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], label="a label of some length")
    label_lines(ax)
    ax.figure.canvas.draw()
    box = ax.texts[0].get_window_extent()
    assert box.x0 >= ax.transData.transform((1, 1))[0]
    assert box.x1 <= ax.figure.bbox.x1


def test_lines_that_end_together_get_labels_that_do_not_overlap(ax: Axes) -> None:
    for k, name in enumerate(("one", "two", "three")):
        ax.plot([0, 1], [k, 1 + 0.001 * k], label=name)
    label_lines(ax)
    ax.figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_a_line_that_ends_in_nan_is_named_at_its_last_number(ax: Axes) -> None:
    ax.plot([0, 1, 2], [0.0, 1.0, np.nan], label="diverges")
    label_lines(ax)
    assert labels(ax) == {"diverges": 1.0}


def test_a_line_without_points_is_passed_over(ax: Axes) -> None:
    ax.plot([], [], label="nothing")
    label_lines(ax)
    assert labels(ax) == {}
