"""The label space: which labels a case can have, and how they hang together.

=============  =====================================  ==================================  ============================
Kind           Labels of a case                       Decided by                          Metrics of
=============  =====================================  ==================================  ============================
binary         one of two, of which one is positive   a threshold of the positive label   the positive label
exclusive      one of three or more                   the greatest probability            each label, and all together
multilabel     any number, or none                    a threshold of each label           each label, and all together
=============  =====================================  ==================================  ============================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from medcls.errors import UsageError
from medcls.nearest import one_of
from medcls.values import documents

Kind = Literal["binary", "exclusive", "multilabel"]


@dataclass(frozen=True)
class LabelSpace:
    """Which labels a case can have.

    Attributes:
        labels: All labels, in the order that every column of probabilities has.
        positive: Of two exclusive labels, the one that 'sensitive' is about; else ``None``.
        multilabel: A case may have any number of labels; else exactly one.

    Raises:
        UsageError: The labels cannot be told apart, or of two exclusive ones none is named positive.
    """

    labels: tuple[str, ...]
    positive: str | None = None
    multilabel: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise UsageError("labels must be different, and at least one")
        if self.multilabel:
            if self.positive is not None:
                raise UsageError("a multi-label classifier has no single positive label")
            return
        if len(self.labels) == 1:
            raise UsageError("one exclusive label leaves nothing to tell apart", remedy="Give two, or set multilabel")
        if len(self.labels) == 2 and self.positive not in self.labels:
            remedy = one_of(self.positive, self.labels, "Labels")
            raise UsageError("of two labels one must be named positive", remedy=remedy)
        if len(self.labels) > 2 and self.positive is not None:
            raise UsageError("a positive label is named for two labels only")

    @property
    def kind(self) -> Kind:
        """``binary``, ``exclusive`` (three or more), or ``multilabel``."""
        if self.multilabel:
            return "multilabel"
        return "exclusive" if self.positive is None else "binary"

    @property
    def is_binary(self) -> bool:
        """Whether a case has one of two labels."""
        return self.kind == "binary"

    @property
    def scored(self) -> tuple[str, ...]:
        """The labels that get metrics of their own: the positive one of two exclusive labels, else all."""
        return self.labels if self.positive is None else (self.positive,)

    @property
    def decided(self) -> tuple[str, ...]:
        """The labels that a threshold decides; none where the most probable label is the prediction."""
        return () if self.kind == "exclusive" else self.scored

    def check_same(self, other: LabelSpace, names: tuple[str, str], remedy: str) -> None:
        """Refuse to hold two things against each other that are about other labels.

        Args:
            other: The label space of the second.
            names: What the two are called.
            remedy: What to do.

        Raises:
            UsageError: The label spaces differ.
        """
        if self != other:
            raise UsageError(f"{names[0]} has other labels than {names[1]}: {self}, not {other}", remedy=remedy)

    def __str__(self) -> str:
        named = ", ".join(f"{label} (positive)" if label == self.positive else label for label in self.labels)
        return f"any of {named}" if self.multilabel else named

    def to_json(self) -> documents.Labels:
        """The three values, under their names, as they stand in every document."""
        return {"labels": list(self.labels), "positive": self.positive, "multilabel": self.multilabel}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LabelSpace:
        """The label space that stands in a document.

        Raises:
            UsageError: It is none.
            KeyError, TypeError: A value is missing, or of the wrong kind.
        """
        return cls(tuple(value["labels"]), value["positive"], bool(value["multilabel"]))


@dataclass(frozen=True, eq=False)
class Labelled:
    """What has a label space, whose values it has as its own.

    Attributes:
        space: Which labels a case can have.
    """

    space: LabelSpace

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order that every column of probabilities has."""
        return self.space.labels

    @property
    def positive(self) -> str | None:
        """Of two exclusive labels, the one that 'sensitive' is about; else ``None``."""
        return self.space.positive

    @property
    def multilabel(self) -> bool:
        """Whether a case may have any number of labels; else it has exactly one."""
        return self.space.multilabel
