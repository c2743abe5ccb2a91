"""Drawings of where the model looks: a cell per token and position, darker where the weight is larger."""

import re

from t2t_multimodel.reports.attention_drawing import draw_attention, draw_grids


def opacities(svg):
    return [float(value) for value in re.findall(r'fill-opacity="([0-9.]+)"', svg)]


def test_each_token_has_a_row_of_cells_and_texts_are_escaped():
    svg = draw_attention([[1.0, 0.0], [0.25, 0.75]], ["<a>", ""], ["b", "c"])
    assert opacities(svg) == [1.0, 0.0, 0.25, 0.75]
    assert re.findall(r">([^<>]+)</text>", svg) == ["b", "c", "&lt;a&gt;", "(end)"]


def test_a_grid_shows_each_token_by_its_own_largest_weight_and_one_that_reads_nothing_as_empty():
    assert opacities(draw_grids([[0.1, 0.4, 0.2, 0.1], [0.0] * 4], ["a", ""], 2)) == [0.25, 1.0, 0.5, 0.25, 0, 0, 0, 0]
