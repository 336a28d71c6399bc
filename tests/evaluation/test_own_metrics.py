"""The table of metrics, and metrics that installed packages add or Python gives."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

import medcls
from medcls.cli.app import app
from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import METRICS, Metric, evaluate_partition, metrics_schema
from medcls.evaluation.metrics import COUNTED, LOSSES, RANKED
from medcls.evaluation.metrics.decisions import LikelihoodRatio
from medcls.evaluation.metrics.further import further_metrics, given_metrics
from medcls.evaluation.partition.label_metrics import LabelView
from tests.factories.packages import install
from tests.factories.predictions import half, rows_of, some_binary, some_labels, some_multilabel
from tests.factories.runs import SMALL, make_pictures

FAST = EvaluationSettings(replicates=100)
ACME = """
from medcls.evaluation import Metric

def youden(positive, called):
    return called[positive].mean() + (1 - called[~positive]).mean() - 1

METRIC = Metric(name="youden", title="Youden's index", meaning="Sensitivity and specificity, less one.", of=youden,
                takes="decisions", bounds=(-1.0, 1.0))
"""


def youden(**changes: Any) -> Metric:
    given: dict[str, Any] = {
        "name": "youden",
        "title": "Youden's index",
        "meaning": "Sensitivity and specificity, less one.",
        "of": lambda positive, called: called[positive].mean() + (1 - called[~positive]).mean() - 1,
        "takes": "decisions",
        "bounds": (-1.0, 1.0),
    }
    return Metric(**(given | changes))


def table_of(folder: Path, *, scale: float = 1.0) -> Path:
    rows = [f"c{number},{number % 3 == 0:d},{scale * ((number * 7 % 11) / 11):.4f}" for number in range(60)]
    (folder / "s.csv").write_text("case,reference,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder / "s.csv"


def test_replicates_of_medcls_metrics_are_those_of_their_plain_formula() -> None:
    """All counts, losses and rankings are drawn at once; each metric alone, case by case, gives the same."""
    predictions = some_binary(n=40, images=2)
    view = LabelView.of(next(iter(predictions.columns())), half(predictions).decide(predictions.probabilities))
    weights = np.concatenate(list(view.resampling.weights(20, 3)))
    from medcls.evaluation.discrimination.ranking import RankingStatistic

    ranking = RankingStatistic(
        view.resampling, view.positive, view.scores, np.empty(0), [row.drawn for row in RANKED.values()]
    )
    fast = view.replicates(view.resampling.sums(view.columns())(weights), ranking(weights))
    assert list(fast) == [*RANKED, *COUNTED, *LOSSES]
    for name, metric in METRICS.items():
        if isinstance(metric, LikelihoodRatio):
            continue  # linear, on purpose
        plain = Metric.statistic(metric, view, view.resampling)
        assert plain is not None
        np.testing.assert_allclose(plain(weights), fast[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("make", [some_binary, some_labels, some_multilabel])
def test_a_metric_of_ones_own_has_interval_and_place(make: Any) -> None:
    predictions = make()
    plain = evaluate_partition(predictions, half(predictions), FAST).to_json()
    with given_metrics([youden()]) as names:
        found = evaluate_partition(predictions, half(predictions), FAST.model_copy(update={"metrics": list(names)}))
    document = found.to_json()
    jsonschema.validate({"test": document}, metrics_schema())
    estimate = document.pop("youden")
    assert estimate["low"] < estimate["value"] < estimate["high"]
    assert estimate["method"] == "patient-bootstrap"
    sensitivity, specificity = document["sensitivity"]["value"], document["specificity"]["value"]
    assert estimate["value"] == pytest.approx(sensitivity + specificity - 1)
    assert document.pop("further_metrics")["youden"]["title"] == "Youden's index"
    for one in (document.get("per_class") or {}).values():
        assert one.pop("youden")["method"]
    assert document == plain  # and nothing else moves


def test_where_the_bootstrap_says_nothing_it_may_be_anything() -> None:
    predictions = rows_of(some_binary(), range(6))
    with given_metrics([youden()]):
        metrics = evaluate_partition(
            predictions, half(predictions), FAST.model_copy(update={"metrics": ["youden"]})
        ).estimates["youden"]
    assert (metrics.low, metrics.high, metrics.method) == (-1.0, 1.0, "bounds")
    assert "too few patients" in str(metrics.reason)


def test_an_object_goes_through_a_table_of_scores_into_files_and_page(tmp_path: Path) -> None:
    result = medcls.evaluate_scores(
        table_of(tmp_path), tmp_path / "out", threshold=0.5, replicates=100, metrics=[youden()]
    )
    assert result.metrics["youden"]["low"] < result.metrics["youden"]["high"]
    with open(tmp_path / "out" / "figures.csv", newline="", encoding="utf-8") as handle:
        assert "youden" in {row["figure"] for row in csv.DictReader(handle)}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Youden&#39;s index" in page
    assert "Sensitivity and specificity, less one." in page


def test_what_asks_for_probabilities_gets_no_bare_scores(tmp_path: Path) -> None:
    mean = youden(name="mean_score", of=lambda positive, scores: scores.mean(), takes="probabilities")
    order = youden(name="top", of=lambda positive, scores: positive[scores.argmax()], takes="ranking")
    found = medcls.evaluate_scores(
        table_of(tmp_path, scale=50), tmp_path / "out", threshold=20, replicates=100, metrics=[mean, order]
    ).metrics
    assert found["mean_score"]["reason"] == "the scores are not probabilities"
    assert found["top"]["value"] in (0.0, 1.0)


def test_a_metric_of_an_installed_package_is_named_by_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "acme_metric", "medcls.metrics", {"youden": "acme_metric:METRIC"}, ACME)
    words = ["evaluate-scores", str(table_of(tmp_path)), "--threshold", "0.5", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(
        app, [*words, "--set", "evaluation.metrics=[youden]", "--set", "evaluation.replicates=100"]
    )
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert metrics["youden"]["value"] is not None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_of_this_name", r"'youden' of the package acme_bad 1\.0 cannot be used: a package that"),
        ("METRIC = 3", r"acme_bad 1\.0 cannot be used: it gives no Metric that is called 'youden'"),
        (ACME.replace("called[positive]", "called[positive, 2]"), r"'youden' of the package acme_bad 1\.0 fails"),
        (ACME.replace(".mean() - 1", ""), r"'youden' of the package acme_bad 1\.0 fails"),
    ],
)
def test_a_package_that_fails_is_one_line_that_names_it(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "acme_bad", "medcls.metrics", {"youden": "acme_bad:METRIC"}, source)
    predictions = some_binary()
    with pytest.raises(UsageError, match=words) as caught:
        evaluate_partition(predictions, half(predictions), FAST.model_copy(update={"metrics": ["youden"]}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metrics", [["nowhere"], [youden(name="auc")], [youden(), youden()], youden(), [3], ["os:x"]])
def test_nothing_else_is_a_metric(metrics: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"metric"):
        medcls.evaluate_scores(table_of(tmp_path), tmp_path / "out", threshold=0.5, metrics=metrics)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_training_takes_one_and_its_evaluation_asks_for_it_again(tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "cohort", patients=12)
    values = {**SMALL, "train": {"epochs": 1, "batch_size": 8, "loggers": ["csv"], "precision": "32"}}
    run = medcls.train(
        None, data={"cases": pictures.table}, runs=tmp_path / "runs", metrics=[youden()], **values
    )  # fmt: skip
    assert run.metrics["test"]["youden"]["method"]
    assert run.load_config().evaluation.metrics == ["youden"]
    with pytest.raises(UsageError, match="no installed package adds a metric 'youden', and none"):
        medcls.evaluate(run.path)
    assert medcls.evaluate(run.path, metrics=[youden()]).metrics["youden"]["method"]
    with pytest.raises(UsageError, match="trained without the metric 'other'"):
        medcls.evaluate(run.path, metrics=[replace(youden(), name="other")])


def test_metrics_of_others_are_not_left_out_of_a_comparison_in_silence(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    with pytest.raises(UsageError, match="further metrics are not compared"):
        medcls.compare(table, table, out=tmp_path / "out", threshold=0.5, **{"metrics": ["youden"]})


def test_a_metric_that_is_always_given_is_said_to_be() -> None:
    with pytest.raises(UsageError, match=r"^evaluation.metrics: 'auc' is always given. Leave it out"):
        further_metrics(["auc", "dice"])
    with pytest.raises(UsageError, match="'auc' is always given"), given_metrics(["auc"]):
        pass
