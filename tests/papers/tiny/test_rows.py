"""A sweep goes on where it was interrupted, and a torn run is made again."""

from __future__ import annotations

from functools import partial

import pytest

from outthink.papers.fixtures import silent
from outthink.papers.tiny.rows import FILE, rows_of, sweep


def _plan(made, until=None):
    def run(number):
        if number == until:
            raise KeyboardInterrupt
        made.append(number)
        return [{"number": number, "step": step} for step in range(2)]

    return [(f"run {number}", partial(run, number)) for number in range(4)]


def test_an_interrupted_sweep_goes_on_after_the_last_whole_run(tmp_path):
    made: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, _plan(made, until=2), "runs", silent)
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write('{"run": "run 2", "number": 2, "step": 0}\n{"run": "run 2", "num')  # torn by a power cut
    sweep(tmp_path, _plan(made), "runs", silent)
    assert made == [0, 1, 2, 3]
    table = rows_of(tmp_path)
    assert table.column("number").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table.column("step").tolist() == [0, 1] * 4


def test_a_complete_sweep_trains_nothing_and_tells_its_progress(tmp_path):
    sweep(tmp_path, _plan([]), "runs", silent)
    made: list[int] = []
    told: list[tuple[int, int]] = []
    sweep(tmp_path, _plan(made), "runs", lambda what, done, total: told.append((done, total)))
    assert made == []
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
