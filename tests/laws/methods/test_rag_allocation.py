"""The allocation model [12]: exact recovery without noise, controls, leave-one-task-out, and what cannot be told apart."""

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.allocation import best_under, grid
from outthink.laws.fit import fit
from outthink.laws.forms.rag_allocation import RagAllocation
from outthink.laws.methods.rag_allocation import COLUMNS, choose, fit_allocation, input_tokens, leave_one_task_out
from outthink.laws.objective import Objective
from outthink.laws.table import table_of

TRUTH = RagAllocation(0.3, 0.15, 0.4, 0.8, 0.7, -2.0)
GAINS = [(-0.2, 0.1), (0.1, 0.3), (0.3, -0.1), (0.0, 0.0)]


def world() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    cells = grid(documents=[0, 1, 5, 20, 100], shots=[0, 1, 4, 16], rounds=[1, 2, 5])
    count = len(cells["documents"])
    columns = {name: np.tile(values, len(GAINS)) for name, values in cells.items()}
    columns["document_gain"], columns["shot_gain"] = (np.repeat([gain[part] for gain in GAINS], count) for part in (0, 1))
    return columns, TRUTH(*(columns[name] for name in COLUMNS)), np.repeat(np.arange(len(GAINS)), count)


def test_scores_of_the_model_give_its_coefficients():
    columns, score, _ = world()
    fitted = fit_allocation(columns, score, questions=10**9)
    assert np.array(list(vars(fitted.law).values())) == pytest.approx(np.array(list(vars(TRUTH).values())), abs=1e-9)
    assert fitted.r_squared == pytest.approx(1.0)
    assert fitted.predict(columns) == pytest.approx(score)


def test_the_general_fit_agrees_with_the_special_one():
    columns, score, _ = world()
    rng = np.random.default_rng(0)
    noisy = rng.binomial(500, score) / 500
    special = fit_allocation(columns, noisy, questions=10**9)
    general = fit("rag-allocation", table_of({**columns, "score": noisy}), objective=Objective(scale="logit", loss="squared"))
    assert general.values["b_documents"] == pytest.approx(special.law.b_documents, abs=1e-4)
    assert general.values["c"] == pytest.approx(special.law.c, abs=1e-4)


def test_scores_of_0_and_1_are_moved_half_a_question_inwards():
    columns, score, _ = world()
    score = score.copy()
    score[0], score[-1] = 0.0, 1.0
    fitted = fit_allocation(columns, score, questions=100)
    assert np.all(np.isfinite(list(vars(fitted.law).values())))
    score[0], score[-1] = 0.005, 0.995
    assert fit_allocation(columns, score, questions=100).law == fitted.law


def test_a_linear_link_and_no_gains_explain_less():
    columns, score, _ = world()
    full = fit_allocation(columns, score, questions=500).r_squared
    assert fit_allocation(columns, score, questions=500, link="linear").r_squared < full - 0.005
    without = fit_allocation(columns, score, questions=500, task_gains=False)
    assert without.r_squared < full - 0.05
    assert (without.law.b_documents, without.law.b_shots) == (0.0, 0.0)


def test_a_held_out_task_is_allocated_by_its_gains():
    columns, score, tasks = world()
    costs = input_tokens(columns["documents"], columns["shots"], columns["rounds"])
    held = leave_one_task_out(columns, score, tasks, costs, 200_000, questions=10**9)
    assert [one.task for one in held] == ["0", "1", "2", "3"]
    for one in held:
        assert one.score == pytest.approx(one.oracle)
        assert one.chosen.cost <= 200_000
        assert tasks[one.chosen.index] == int(one.task)
    fitted = fit_allocation(columns, score, questions=10**9)
    own = tasks == 1
    choice = choose(fitted, {name: columns[name][own] for name in COLUMNS}, costs[own], 200_000)
    assert choice.score == pytest.approx(best_under(score[own], costs[own], 200_000).score)


def test_tokens_count_every_round_and_every_demonstration():
    assert float(input_tokens(2, 3, 5, document_tokens=100, question_tokens=10)) == 5 * 4 * 210


def test_what_cannot_be_told_apart_is_named():
    columns, score, _ = world()
    once = {**columns, "rounds": np.ones(len(score))}
    with pytest.raises(UsageError, match="a_rounds"):
        fit_allocation(once, score, questions=500)
    with pytest.raises(UsageError, match="shot_gain missing"):
        fit_allocation({name: columns[name] for name in COLUMNS if name != "shot_gain"}, score, questions=500)
    with pytest.raises(UsageError, match="rounds 1 or more"):
        fit_allocation({**columns, "rounds": np.zeros(len(score))}, score, questions=500)
