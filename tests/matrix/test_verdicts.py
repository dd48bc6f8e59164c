import pytest

from adaedge.matrix import Row
from adaedge.matrix.techniques import ALL, JPEG, LOCAL, PARTIAL, VIDEO
from adaedge.matrix.verdicts import (
    by_word,
    cells_of,
    flips,
    median_saving,
    partial_cells,
    predicted_best,
    savings,
    window,
)


def row(name, energy_j, *, radio="a", link="w", clip="c", predicted_j=None, keeps=True, second=True, misses=0.0):
    return Row(
        *("net", clip, "board", radio, link, name, energy_j, 0.99, "iou", misses),
        chosen_to_keep_floor=keeps,
        keeps_floor=second,
        predicted_j=energy_j if predicted_j is None and name != ALL else predicted_j,
    )


def cell(local=4.0, jpeg=3.0, video=2.0, partial=1.0, together=0.9, **where):
    joules = {LOCAL: local, JPEG: jpeg, VIDEO: video, PARTIAL: partial, ALL: together}
    return [row(name, spent, **where) for name, spent in joules.items()]


def test_partial_is_named_where_it_is_the_best_by_a_tenth():
    rows = cell() + cell(partial=1.79, radio="b") + cell(partial=1.81, radio="c")
    assert [(name[4], round(by, 3)) for name, by in partial_cells(rows)] == [("a", 0.5), ("b", 0.105)]


def test_a_mode_that_breaks_floor_or_deadlines_is_no_best():
    rows = [row(LOCAL, 4.0), row(VIDEO, 2.0, keeps=False), row(JPEG, 3.0, misses=0.03), row(PARTIAL, 3.9)]
    assert set(by_word({one.mode_or_technique: one for one in rows})) == {"local", "partial"}
    rows[2] = row(JPEG, 3.0, misses=0.02)
    assert by_word({one.mode_or_technique: one for one in rows})["full"].energy_j == 3.0


def test_full_is_the_cheaper_of_its_two():
    found = by_word({one.mode_or_technique: one for one in cell(jpeg=1.5, video=2.5)})
    assert found["full"].mode_or_technique == JPEG


def test_savings_are_against_the_best_rival_that_kept_the_floor():
    (plain,) = savings(cell(together=1.5))
    assert (plain.against, plain.fraction, plain.keeps_floor) == (VIDEO, 0.25, True)
    rows = cell(together=1.5)
    rows[2] = row(VIDEO, 2.0, second=False)
    (other,) = savings(rows)
    assert (other.against, other.fraction) == (JPEG, 0.5)
    assert savings([row(LOCAL, 1.0)]) == [], "nothing to hold against it"
    costs = savings(cell(together=2.5))[0]
    assert costs.fraction == -0.25, "what costs is not hidden"
    assert median_saving([plain, other, costs]) == 0.25
    assert median_saving([]) is None


def test_the_window_is_right_near_or_wrong():
    right = cell(radio="a")
    near = [row(LOCAL, 1.02, radio="b", predicted_j=0.9), row(PARTIAL, 1.0, radio="b")]
    wrong = [row(LOCAL, 1.04, radio="c", predicted_j=0.9), row(PARTIAL, 1.0, radio="c")]
    found = window(right + near + wrong)
    assert (found.cells, found.right, found.near) == (3, 1, 1)
    assert [name[4] for name in found.wrong] == ["c"]


def test_a_forecast_of_what_breaks_the_floor_does_not_count():
    rows = {one.mode_or_technique: one for one in [row(LOCAL, 2.0), row(VIDEO, 1.0, keeps=False), row(JPEG, 1.5)]}
    assert predicted_best(rows) == "full"
    del rows[JPEG]
    assert predicted_best(rows) == "local"
    rows = {one.mode_or_technique: one for one in [row(VIDEO, 1.0), row(JPEG, 1.5), row(LOCAL, 1.2)]}
    assert predicted_best(rows) == "full", "by the cheaper of both"


def test_radios_that_disagree_are_named():
    rows = cell() + cell(local=0.5, radio="b") + cell(link="x") + cell(link="x", radio="b")
    assert flips(rows) == [(("net", "c", "", "board", "w"), {"a": "partial", "b": "local"})]


def test_rows_are_gathered_by_cell_and_read_back():
    rows = cell() + cell(radio="b")
    assert {name: len(each) for name, each in cells_of(rows).items()} == {
        ("net", "c", "", "board", "a", "w"): 5,
        ("net", "c", "", "board", "b", "w"): 5,
    }
    assert [Row.of(one.as_dict()) for one in rows] == rows
    assert rows[0].radio_j == pytest.approx(0.0)
