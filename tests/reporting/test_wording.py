"""Numbers and sentences on a page: what a reader sees of a small share, a negative number, a stated threshold, a bare score."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.errors import in_words, wants_memory
from medcls.reporting.text.numbers import decimal, minus, of_hundred, percent, threshold
from medcls.reporting.text.operating_point import chosen_by, decision_sentences
from medcls.reporting.text.wording import meaning, plain_sentences, show

POINT: dict[str, Any] = {
    "rule": "fixed",
    "chosen_on": "given",
    "exploratory": False,
    "thresholds": [{"label": "ill", "threshold": -0.5, "reason": None}],
}


def estimate(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "method": "wilson", "reason": None}


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.00001, "<0.01"), (-0.00001, ">−0.01"), (0.99999, ">99.99"), (-0.99999, "<−99.99"), (-0.05, "−5"), (0.0, "0")],
)
def test_a_bound_is_a_sign_and_turns_round_with_the_sign(share: float, shown: str) -> None:
    assert percent(share) == shown


@given(st.floats(-1e6, 1e6))
def test_no_number_has_a_hyphen_for_a_minus_and_bounds_hold(value: float) -> None:
    for text in (decimal(value), threshold(value), percent(value / 1e6)):
        assert "-" not in text
        assert value < 0 or "−" not in text.partition("e")[0]
    text = decimal(value)
    number = float(text.lstrip("<>").replace("−", "-"))
    if text.startswith("<"):
        assert value < number
    elif text.startswith(">"):
        assert value > number
    else:
        assert number == pytest.approx(value, rel=0.006, abs=0.0051)


def test_only_numbers_get_a_minus() -> None:
    assert minus("over -3.5 to -1.2") == "over −3.5 to −1.2"
    assert minus("GE-750 2020-01-31 x-ray") == "GE-750 2020-01-31 x-ray"


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "none"), (0.001, "fewer than 1"), (0.634, "about 63"), (0.998, "more than 99"), (1.0, "all")],
)
def test_of_a_hundred(share: float, words: str) -> None:
    assert of_hundred(share) == words
    metrics = {
        "n_cases": 9,
        "n_patients": 9,
        "sensitivity": estimate(share, 0.0, 1.0),
        "auc": estimate(share, 0.0, 1.0),
    }
    found = plain_sentences(metrics, "ill", False)
    assert f"with ‘ill’, it finds {words} (" in found[0]
    often = {0.0: "never", 1.0: "every time"}.get(share, f"{words} times out of 100")
    assert f"the higher probability {often};" in found[-1]


def test_a_stated_threshold_is_not_said_to_be_chosen_on_anything() -> None:
    assert chosen_by(POINT) == "stated beforehand"
    assert "index" in chosen_by({**POINT, "rule": "youden", "chosen_on": "tune"})
    assert "these very cases" in chosen_by({**POINT, "rule": "youden", "chosen_on": "x", "exploratory": True})
    assert "no threshold" in chosen_by({**POINT, "thresholds": []})


def test_a_bare_score_is_called_a_score() -> None:
    uncalibrated = {"operating_point": POINT, "not_computed": {"calibration.before": "they were not changed"}}
    assert (
        decision_sentences(uncalibrated, False, scores=True)[0] == "‘ill’ is predicted when its score is at least −0.5."
    )
    assert "its probability is" in decision_sentences(uncalibrated, False)[0]
    assert "a higher score than" in meaning("auc", "ill", False, scores=True)
    assert "probability" not in meaning("auc", "ill", False, scores=True)
    metrics = {"n_cases": 9, "n_patients": 9, "auc": estimate(0.7, 0.5, 0.8)}
    assert "the higher score about 70 times" in plain_sentences(metrics, "ill", False, scores=True)[-1]


@pytest.mark.parametrize(
    ("numbers", "at_end"),
    [((1.0, 0.9, 1.0), True), ((0.9, 0.8, 0.95), False), ((0.9001, 0.9, 0.95), True), ((0.5, 0.5, 0.5), False)],
)
def test_a_figure_at_the_end_of_its_interval_is_known(numbers: tuple[float, float, float], at_end: bool) -> None:
    assert show("auc", estimate(*numbers)).at_end is at_end


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"
        ),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_that_memory_is_short_is_said_whoever_finds_it_out(error: Exception) -> None:
    assert in_words(error) == "there is not enough memory"


def test_other_errors_of_the_same_kinds_are_not_about_memory() -> None:
    assert not any(
        wants_memory(one) for one in (OSError(errno.ENOENT, "no"), RuntimeError("shapes"), ImportError("no x"))
    )
