"""What a report is made of, and a page as a parser sees it."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.partition.metrics import evaluate_partition
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.thresholds.operating_point import choose_operating_point
from medcls.reporting import (
    CohortFlow,
    Epoch,
    ExplainedCase,
    PartitionCounts,
    ReasonCount,
    ReportContent,
)
from medcls.values.caution import note
from medcls.values.label_space import LabelSpace

EVIL = "<script>alert(1)</script>"


VOID = {"meta", "img", "br", "link", "hr", "input"}


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page(HTMLParser):
    """Checks that tags nest, and gathers what the tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def predictions(labels: tuple[str, ...], positive: str | None, multilabel: bool, seed: int, cases: int) -> Predictions:
    random = np.random.default_rng(seed)
    noise = random.normal(size=(cases, len(labels)))
    if multilabel:
        reference = random.random((cases, len(labels))) < 0.4
        probabilities = 1 / (1 + np.exp(-(noise + 2 * reference - 1)))
    else:
        reference = np.eye(len(labels), dtype=bool)[np.arange(cases) % len(labels)]
        probabilities = np.exp(noise + 1.5 * reference)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    patients = np.array([f"P{index}" for index in range(cases)])
    return Predictions(labels, positive, multilabel, probabilities, reference, patients)


def content(
    labels: tuple[str, ...] = ("normal", "nodule"),
    positive: str | None = "nodule",
    multilabel: bool = False,
    cases: int = 40,
    **changes: Any,
) -> ReportContent:
    settings = EvaluationSettings(replicates=100)
    tune, test = (predictions(labels, positive, multilabel, seed, cases) for seed in (1, 2))
    point = choose_operating_point(tune)
    metrics = {
        name: evaluate_partition(one, point, settings).to_json() for name, one in (("tune", tune), ("test", test))
    }
    parts = [(name, metrics[name]["cases_per_label"]) for name in ("tune", "test")]
    values: dict[str, Any] = {
        "title": "lung nodules",
        "region": "lung",
        "created": "2026-11-20 14:05",
        "space": LabelSpace(labels, positive, multilabel),
        "cohort": CohortFlow(
            given=2 * cases + 9,
            left_out=(ReasonCount("truncated", "The file ends before its pixels do", 9),),
            partitions=tuple(PartitionCounts(name, cases, cases, counts) for name, counts in parts),
        ),
        "metrics": metrics,
        "history": tuple(Epoch(number, 1 / (number + 1), None, 0.5 + number / 10, 1e-3) for number in range(4)),
        "best_epoch": 3,
        "explanations": (
            ExplainedCase(PNG, "case C2", "true positive"),
            ExplainedCase(PNG, "case C1", "false negative"),
        ),
        "classifier": {"Network": "densenet121"},
        "config_text": "region: lung\n",
        "environment": {"torch": "2.13.0"},
        "warnings": note("maps", "maps have 4 cells along an axis"),
    }
    return ReportContent(**(values | changes))
