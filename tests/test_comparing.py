"""Comparing models on the same cases: pROC's paired test, the same cases whatever their order, Holm over pairs."""

from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

import medcls
from medcls.errors import CohortError, UsageError
from medcls.evaluation import holm
from medcls.runs.comparing import comparison_document_schema
from tests.scores_factory import ASAH, FAST, binary_rows, several_rows, write_table


def differences(document: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """First, second and figure to difference."""
    pairs = document["comparisons"]
    return {(pair["first"], pair["second"], one["figure"]): one for pair in pairs for one in pair["differences"]}


def test_two_markers_of_one_file_give_procs_paired_test(shared_data: Path, tmp_path: Path) -> None:
    asah = shared_data / "reference" / "asah.csv"
    medcls.evaluate_predictions(
        asah,
        tmp_path,
        columns={**ASAH, "score": "wfns"},
        positive="Poor",
        threshold=3,
        compare=asah,
        compare_columns={"score": "s100b"},
        compare_threshold=0.205,
        **FAST,
    )
    document = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    validate(document, comparison_document_schema())
    auc = differences(document)["wfns", "s100b", "auc"]
    assert auc["statistic"] == pytest.approx(2.208983591441, rel=1e-9)
    assert auc["p_value"] == pytest.approx(0.027175782229, rel=1e-9)
    assert (auc["first"], auc["second"]) == pytest.approx((0.8236788617886, 0.7313685636856))
    with (tmp_path / "comparison.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["figure"] for row in rows] == ["auc", "sensitivity", "specificity"]
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "DeLong, paired" in page
    assert "0.027" in page
    assert (tmp_path / "report.html").exists()


def tables(folder: Path, shifts: tuple[float, ...] = (1.6, 1.2, 0.3)) -> list[Path]:
    """Models of falling skill on the same cases."""
    return [
        write_table(folder / f"model{index}.csv", binary_rows(240, seed=index, shift=shift))
        for index, shift in enumerate(shifts)
    ]


def test_every_pair_is_compared_and_p_values_are_adjusted(tmp_path: Path) -> None:
    result = medcls.compare(*tables(tmp_path), out=tmp_path / "out", positive="sick", **FAST)
    found = differences(dict(result.document))
    pairs = list(combinations(("model0", "model1", "model2"), 2))
    assert {key[:2] for key in found} == set(pairs)
    for figure in ("auc", "sensitivity", "specificity"):
        raw = [found[*pair, figure]["p_value"] for pair in pairs]
        assert [found[*pair, figure]["p_adjusted"] for pair in pairs] == pytest.approx(list(holm(raw)))
    assert found["model0", "model2", "auc"]["difference"]["low"] > 0
    assert [model["name"] for model in result.document["models"]] == ["model0", "model1", "model2"]
    assert "adjusted by Holm for the 3 pairs" in (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")


def test_first_and_second_can_change_places(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    forth = differences(dict(medcls.compare(one, other, out=tmp_path / "a", positive="sick", **FAST).document))
    back = differences(dict(medcls.compare(other, one, out=tmp_path / "b", positive="sick", **FAST).document))
    for figure in ("auc", "sensitivity", "specificity"):
        mine, theirs = forth["model0", "model1", figure], back["model1", "model0", figure]
        assert mine["difference"]["value"] == pytest.approx(-theirs["difference"]["value"])
        assert mine["difference"]["low"] == pytest.approx(-theirs["difference"]["high"])
        assert mine["p_value"] == pytest.approx(theirs["p_value"])


def test_cases_are_joined_by_name_whatever_their_order_and_the_rest_is_counted(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    whole = medcls.compare(one, other, out=tmp_path / "a", positive="sick", **FAST).document
    rows = binary_rows(240, seed=1, shift=1.2)
    write_table(other, rows[::-1])
    turned = medcls.compare(one, other, out=tmp_path / "b", positive="sick", **FAST).document
    assert turned["comparisons"] == whole["comparisons"]
    assert turned["left_out"] == 0
    gone = next(row for row in rows if row["partition"] == "test")
    failed = next(row for row in rows[::-1] if row["partition"] == "test")
    kept = [{**row, "score": ""} if row is failed else row for row in rows if row is not gone]
    write_table(other, kept)
    partly = medcls.compare(one, other, out=tmp_path / "c", positive="sick", **FAST).document
    assert (partly["left_out"], partly["n_cases"]) == (2, whole["n_cases"] - 2)
    assert any("2 cases are left out" in note for note in partly["notes"])


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    rows = binary_rows(240, seed=1)
    judged = next(index for index, row in enumerate(rows) if row["partition"] == "test")
    rows[judged]["reference"] = "well" if rows[judged]["reference"] == "sick" else "sick"
    write_table(other, rows)
    with pytest.raises(CohortError, match=rf"model1\.csv:{judged + 2}: the case has another reference label"):
        medcls.compare(one, other, out=tmp_path / "o", positive="sick", **FAST)
    write_table(other, [{**row, "case": f"x{row['case']}"} for row in rows])
    with pytest.raises(CohortError, match="no case is in all of them"):
        medcls.compare(one, other, out=tmp_path / "o", positive="sick", **FAST)
    with pytest.raises(UsageError, match="needs two models"):
        medcls.compare(one, out=tmp_path / "o", positive="sick")
    assert not (tmp_path / "o").exists()


def test_labels_may_stand_in_another_order(tmp_path: Path) -> None:
    labels = ("a", "b", "c")
    rows = several_rows(labels, multilabel=False)
    one = write_table(tmp_path / "one.csv", rows)
    turned = [
        {**{key: row[key] for key in list(row)[:4]}, **{f"p_{label}": row[f"p_{label}"] for label in "cab"}}
        for row in rows
    ]
    other = write_table(tmp_path / "other.csv", turned)
    document = medcls.compare(one, other, out=tmp_path / "o", **FAST).document
    assert all(one["difference"]["value"] == 0 for pair in document["comparisons"] for one in pair["differences"])


def test_folders_of_evaluations_are_compared_by_their_own_thresholds(tmp_path: Path) -> None:
    folders = []
    for index, (table, threshold) in enumerate(zip(tables(tmp_path), (0.3, 0.5, 0.7), strict=True)):
        folder = tmp_path / f"run{index}"
        medcls.evaluate_predictions(table, folder, positive="sick", threshold=threshold, **FAST)
        rows = [{**row, "p_sick": row["score"], "p_well": 1 - float(row["score"])} for row in binary_rows(240, index)]
        write_table(folder / "predictions.csv", [{k: v for k, v in row.items() if k != "score"} for row in rows])
        folders.append(folder)
    document = medcls.compare(*folders, out=tmp_path / "o", **FAST).document
    cuts = [model["operating_point"]["thresholds"][0]["threshold"] for model in document["models"]]
    assert cuts == [0.3, 0.5, 0.7]
    assert document["positive"] == "sick"


def test_a_threshold_in_the_first_scores_unit_is_not_taken_for_the_seconds(shared_data: Path, tmp_path: Path) -> None:
    asah, columns = shared_data / "reference" / "asah.csv", {"reference": "outcome", "score": "s100b"}
    with pytest.raises(UsageError, match=r"needs a threshold of its own.*--compare-threshold"):
        medcls.evaluate_predictions(
            asah,
            tmp_path / "o",
            columns=columns,
            positive="Poor",
            threshold=0.205,
            compare=asah,
            compare_columns={"reference": "outcome", "score": "ndka"},
        )
