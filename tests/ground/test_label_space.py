"""The label space: what kinds there are, what is scored and decided, and what is no label space."""

from __future__ import annotations

from typing import Any

import pytest

from medcls.errors import UsageError
from medcls.values.label_space import Labelled, LabelSpace

BINARY = LabelSpace(("well", "ill"), "ill")
EXCLUSIVE = LabelSpace(("a", "b", "c"))
SEVERAL = LabelSpace(("a", "b"), multilabel=True)


@pytest.mark.parametrize(
    ("space", "kind", "scored", "decided"),
    [
        (BINARY, "binary", ("ill",), ("ill",)),
        (EXCLUSIVE, "exclusive", ("a", "b", "c"), ()),
        (SEVERAL, "multilabel", ("a", "b"), ("a", "b")),
        (LabelSpace(("alone",), multilabel=True), "multilabel", ("alone",), ("alone",)),
    ],
)
def test_a_label_space_says_its_kind_and_which_labels_are_scored_and_decided(
    space: LabelSpace, kind: str, scored: tuple[str, ...], decided: tuple[str, ...]
) -> None:
    assert (space.kind, space.scored, space.decided) == (kind, scored, decided)
    assert space.is_binary == (kind == "binary")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"labels": ()}, "at least one"),
        ({"labels": ("a", "a"), "multilabel": True}, "must be different"),
        ({"labels": ("a",)}, "nothing to tell apart"),
        ({"labels": ("a", "b")}, "must be named positive"),
        ({"labels": ("a", "b"), "positive": "c"}, "must be named positive"),
        ({"labels": ("a", "b", "c"), "positive": "a"}, "for two labels only"),
        ({"labels": ("a", "b"), "positive": "a", "multilabel": True}, "no single positive label"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        LabelSpace(**values)


@pytest.mark.parametrize("space", [BINARY, EXCLUSIVE, SEVERAL])
def test_a_document_has_the_three_values_under_their_names(space: LabelSpace) -> None:
    document = space.to_json()
    assert list(document) == ["labels", "positive", "multilabel"]
    assert LabelSpace.from_json(document) == space


@pytest.mark.parametrize(
    "other", [LabelSpace(("well", "ill"), "well"), LabelSpace(("ill", "well"), "ill"), SEVERAL, EXCLUSIVE]
)
def test_two_label_spaces_that_differ_are_named_in_one_line(other: LabelSpace) -> None:
    BINARY.check_same(LabelSpace(("well", "ill"), "ill"), ("one", "the other"), "Mend it")
    with pytest.raises(UsageError) as error:
        BINARY.check_same(other, ("one", "the other"), "Mend it")
    assert f"one has other labels than the other: well, ill (positive), not {other}" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_labelled_has_the_values_of_its_space_as_its_own() -> None:
    labelled = Labelled(BINARY)
    assert (labelled.labels, labelled.positive, labelled.multilabel) == (("well", "ill"), "ill", False)
