"""Which cases a report explains: all outcomes, each patient once, and the label that was missed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medcls.classifier import Prediction
from medcls.cohort import Case
from medcls.values.label_space import LabelSpace
from medcls.workflows.reporting.example_cases import choose_cases, label_to_explain, outcome

LABELS = ("well", "sick")
SPACE = LabelSpace(LABELS, "sick")


def a_case(name: str, patient: str, label: int, probability: float) -> tuple[Case, Prediction]:
    prediction = Prediction((LABELS[probability >= 0.5],), (1 - probability, probability))
    return Case(name, patient, Path(name), (label,)), prediction


rows = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 1), st.floats(0, 1, allow_nan=False)), min_size=1, max_size=30
)


@given(rows, st.integers(0, 8))
def test_no_patient_comes_twice_and_outcomes_take_turns(given_: list[tuple[int, int, float]], count: int) -> None:
    made = [a_case(f"c{i}", f"p{patient}", label, p) for i, (patient, label, p) in enumerate(given_)]
    predictions = {case.name: prediction for case, prediction in made}
    chosen = choose_cases([case for case, _ in made], predictions, SPACE, count)
    patients = [case.patient for case in chosen]
    assert len(patients) == len(set(patients)) <= count
    assert len(patients) == min(count, len({case.patient for case, _ in made}))


def test_the_four_outcomes_are_there_before_any_comes_twice() -> None:
    shown = [(1, 0.9), (1, 0.8), (1, 0.7), (1, 0.3), (0, 0.95), (0, 0.1), (0, 0.2), (1, 0.1)]
    made = [a_case(f"c{i}", f"p{i}", label, p) for i, (label, p) in enumerate(shown)]
    predictions = {case.name: prediction for case, prediction in made}
    chosen = choose_cases([case for case, _ in made], predictions, SPACE, 4)
    came = [outcome(case, predictions[case.name], SPACE) for case in chosen]
    assert came == ["false negative", "true positive", "false positive", "true negative"]
    assert [case.name for case in chosen] == ["c7", "c0", "c4", "c5"]  # the surest of each


def test_what_was_missed_is_explained_for_the_label_that_was_missed() -> None:
    missed, prediction = a_case("a", "p", 1, 0.2)
    assert label_to_explain(missed, prediction, SPACE) == "sick"
    alarm, prediction = a_case("b", "p", 0, 0.9)
    assert label_to_explain(alarm, prediction, SPACE) == "sick"
    alone, prediction = a_case("c", "p", 0, 0.1)
    assert label_to_explain(alone, prediction, SPACE) == "well"
    kinds = ("glioma", "meningioma", "none")
    wrong = Case("d", "p", Path("d"), (1,))
    assert label_to_explain(wrong, Prediction(("glioma",), (0.6, 0.3, 0.1)), LabelSpace(kinds)) == "meningioma"


def test_an_answer_of_which_nothing_is_known_is_neither_right_nor_wrong() -> None:
    kinds = ("a", "b", "c")
    case = Case("x", "p", Path("x"), (0,), unknown=(2,))
    for predicted, came in ((("a", "c"), "right"), (("a",), "right"), (("a", "b"), "wrong"), (("c",), "wrong")):
        assert outcome(case, Prediction(predicted, (0.5, 0.5, 0.5)), LabelSpace(kinds)) == came
