"""Cautions: their order, and what a leak's text begins with."""

from __future__ import annotations

from medcls.values.caution import Severity, in_order, leakage, note, serious


def test_the_gravest_comes_first_and_equals_keep_their_order() -> None:
    given = [*note("a", "first"), *serious("b", "second", "third"), leakage("fourth"), *note("c", "fifth")]
    assert [one.text for one in in_order(given)] == ["fourth", "second", "third", "first", "fifth"]


def test_only_the_text_of_a_leak_has_a_mark_before_it() -> None:
    assert str(leakage("p is on two sides")) == "LEAKAGE: p is on two sides"
    assert [str(one) for one in serious("b", "second", "third")] == ["second", "third"]
    assert [one.severity for one in (leakage("x"), *serious("b", "y"), *note("c", "z"))] == list(Severity)
