"""Comparing models on the same cases: pROC's paired test, the same cases whatever their order, Holm over pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

import medcls
from medcls.cli import show
from medcls.errors import CohortError, UsageError
from medcls.evaluation import holm
from medcls.scores.comparison.compare import comparison_document_schema
from tests.factories.scores import ASAH, FAST, binary_rows, several_rows, write_table


def differences(document: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """First, second and metric to difference."""
    pairs = document["comparisons"]
    return {(pair["first"], pair["second"], one["figure"]): one for pair in pairs for one in pair["differences"]}


def test_two_markers_of_one_file_give_procs_paired_test(shared_data: Path, tmp_path: Path) -> None:
    asah = shared_data / "reference" / "asah.csv"
    medcls.evaluate_scores(
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
    assert [row["figure"] for row in rows] == ["auc", "sensitivity", "specificity", "accuracy"]
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
    for metric in ("auc", "sensitivity", "specificity"):
        raw = [found[*pair, metric]["p_value"] for pair in pairs]
        assert [found[*pair, metric]["p_adjusted"] for pair in pairs] == pytest.approx(list(holm(raw)))
    assert found["model0", "model2", "auc"]["difference"]["low"] > 0
    assert [model["name"] for model in result.document["models"]] == ["model0", "model1", "model2"]
    assert "adjusted by Holm for the 3 pairs" in (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")


def test_first_and_second_can_change_places(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    forth = differences(dict(medcls.compare(one, other, out=tmp_path / "a", positive="sick", **FAST).document))
    back = differences(dict(medcls.compare(other, one, out=tmp_path / "b", positive="sick", **FAST).document))
    for metric in ("auc", "sensitivity", "specificity"):
        mine, theirs = forth["model0", "model1", metric], back["model1", "model0", metric]
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
    assert partly["notes"][:2] == [
        f"of the {whole['n_cases']} cases of 'model0' 2 are left out: 1 is not among the test cases of 'model1', 1 is without "
        "a score of 'model1'",
        f"of the {whole['n_cases'] - 1} cases of 'model1' 1 is left out: 1 is without a score of its own",
    ]
    assert partly["models"][0]["cases"]["n_left_out"] == 2
    validate(partly, comparison_document_schema())


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    rows = binary_rows(240, seed=1)
    evaluated = next(index for index, row in enumerate(rows) if row["partition"] == "test")
    rows[evaluated]["reference"] = "well" if rows[evaluated]["reference"] == "sick" else "sick"
    write_table(other, rows)
    with pytest.raises(CohortError, match=rf"model1\.csv:{evaluated + 2}: the case has another reference label"):
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
        medcls.evaluate_scores(table, folder, positive="sick", threshold=threshold, **FAST)
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
        medcls.evaluate_scores(
            asah,
            tmp_path / "o",
            columns=columns,
            positive="Poor",
            threshold=0.205,
            compare=asah,
            compare_columns={"reference": "outcome", "score": "ndka"},
        )


def as_run(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder as a run leaves it: its own judgement of these rows, and its table of predictions."""
    folder.parent.mkdir(exist_ok=True)
    table = write_table(folder.parent / f"{folder.name}.csv", rows)
    medcls.evaluate_scores(table, folder, positive="sick", threshold=0.5, **FAST)
    own = [{**row, "p_sick": row["score"], "p_well": 1 - float(row["score"])} for row in rows]
    write_table(
        folder / "predictions.csv", [{k: v for k, v in row.items() if k not in ("score", "sex")} for row in own]
    )
    return folder


def test_runs_that_test_on_their_own_splits_say_what_each_drops_and_how_to_share(tmp_path: Path) -> None:
    rows = binary_rows(240)
    moved = [{**row, "partition": "test" if index < 120 else "tune"} for index, row in enumerate(rows)]
    one, other = as_run(tmp_path / "one", rows), as_run(tmp_path / "other", moved)
    document = medcls.compare(one, other, out=tmp_path / "o", **FAST).document
    validate(document, comparison_document_schema())
    evaluated = sum(row["partition"] == "test" for row in rows)
    assert [model["cases"]["n_judged"] for model in document["models"]] == [evaluated, 120]
    for model, whose in zip(document["models"], ("other", "one"), strict=True):
        left = model["cases"]["n_judged"] - document["n_cases"]
        assert model["cases"] == {
            "n_judged": model["cases"]["n_judged"],
            "n_left_out": left,
            "reasons": {f"not among the test cases of '{whose}'": left},
        }
    page = (tmp_path / "o" / "compare.html").read_text(encoding="utf-8")
    assert "split.seed" in page
    assert f"are left out: {evaluated - document['n_cases']} are not among the test cases of" in page
    whole = medcls.compare(
        one, as_run(tmp_path / "third", binary_rows(240, seed=1)), out=tmp_path / "w", **FAST
    ).document
    assert whole["notes"] == []


def test_a_comparison_is_refused_only_without_a_case_or_without_a_label(tmp_path: Path) -> None:
    rows = binary_rows(120)
    sick = [index for index, row in enumerate(rows) if row["reference"] == "sick"]
    well = next(index for index, row in enumerate(rows) if row["reference"] == "well")
    one = write_table(tmp_path / "one.csv", [{**row, "partition": "test"} for row in rows])
    tune = {**rows[well], "partition": "tune"}
    few = write_table(tmp_path / "few.csv", [tune, *({**rows[index], "partition": "test"} for index in sick)])
    options = {"positive": "sick", "threshold": 0.5, **FAST}
    with pytest.raises(
        CohortError, match=r"share none has the label 'well': of the 120 cases of 'one' \d+ are left out"
    ):
        medcls.compare(one, few, out=tmp_path / "o", **options)
    assert not (tmp_path / "o" / "comparison.json").exists()
    write_table(few, [{**rows[index], "partition": "test"} for index in (sick[0], well)])
    document = medcls.compare(one, few, out=tmp_path / "p", **options).document
    assert document["n_cases"] == 2


def test_one_patient_is_no_patients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "partition": "test", "patient": "p"} for row in binary_rows(10)]
    one, other = write_table(tmp_path / "one.csv", rows), write_table(tmp_path / "other.csv", rows)
    result = medcls.compare(one, other, out=tmp_path / "o", positive="sick", threshold=0.5, **FAST)
    show.comparison(result, as_json=False, quiet=False)
    for text in ((tmp_path / "o" / "compare.html").read_text(encoding="utf-8"), capsys.readouterr().out):
        assert "10 cases of 1 patient" in text
        assert "1 patients" not in text


def test_files_and_runs_of_one_name_are_told_apart_in_names_and_errors(tmp_path: Path) -> None:
    rows = binary_rows(120)
    wrong = [dict(row) for row in rows]
    at = next(index for index, row in enumerate(rows) if row["partition"] == "test")
    wrong[at]["reference"] = "well" if rows[at]["reference"] == "sick" else "sick"
    places = []
    for folder, some in (("a", rows), ("b", wrong)):
        (tmp_path / folder / "scores").mkdir(parents=True)
        places.append(write_table(tmp_path / folder / "scores" / "model.csv", some))
    expected = rf"b/scores/model\.csv:{at + 2}: .* in line {at + 2} of a/scores/model\.csv"
    with pytest.raises(CohortError, match=expected):
        medcls.compare(*places, out=tmp_path / "o", positive="sick", threshold=0.5, **FAST)
    places[1].write_bytes(places[0].read_bytes())
    document = medcls.compare(*places, out=tmp_path / "p", positive="sick", threshold=0.5, **FAST).document
    assert [model["name"] for model in document["models"]] == ["a-scores-model", "b-scores-model"]
    runs = [as_run(tmp_path / folder / "run", some) for folder, some in (("c", rows), ("d", wrong))]
    with pytest.raises(CohortError, match=rf"d/run/predictions\.csv:{at + 2}: .* of c/run/predictions\.csv"):
        medcls.compare(*runs, out=tmp_path / "q", **FAST)


def test_files_of_one_name_without_names_of_cases_are_not_taken_for_one_file(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "case"} for row in binary_rows(60)]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    places = [write_table(tmp_path / folder / "model.csv", rows) for folder in ("a", "b")]
    with pytest.raises(CohortError, match="cases cannot be joined without their names"):
        medcls.compare(*places, out=tmp_path / "o", positive="sick", threshold=0.5, **FAST)


@pytest.mark.parametrize("patients", [True, False])
def test_neither_order_of_rows_nor_the_name_of_a_column_changes_an_interval(patients: bool, tmp_path: Path) -> None:
    one, other = (binary_rows(90, seed=seed) for seed in (0, 1))
    both = [
        {**row, "score": f"{float(row['score']):.1f}", "second": b["score"]} for row, b in zip(one, other, strict=True)
    ]
    both = [{key: value for key, value in row.items() if patients or key != "patient"} for row in both]
    turned = [{("name" if key == "case" else key): value for key, value in row.items()} for row in both[::-1]]
    results = []
    for index, rows in enumerate((both, turned)):
        (tmp_path / str(index)).mkdir()
        table = write_table(tmp_path / str(index) / "scores.csv", rows)
        medcls.evaluate_scores(
            table,
            tmp_path / str(index) / "out",
            columns={"score": "score"},
            positive="sick",
            threshold=0.5,
            covariates=("sex",),
            compare=table,
            compare_columns={"score": "second"},
            **FAST,
        )
        out = tmp_path / str(index) / "out"
        results.append(
            [json.loads((out / name).read_text(encoding="utf-8")) for name in ("comparison.json", "metrics.json")]
        )
    for document, same in zip(*results, strict=True):
        for partition in document.values():
            if isinstance(partition, dict):
                partition.pop("failures", None)  # names cases by their lines
        for partition in same.values():
            if isinstance(partition, dict):
                partition.pop("failures", None)
        assert document == same


def test_a_comparison_of_a_few_patients_is_warned_of(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    for seed, path in enumerate((one, other)):
        rows = [row for row in binary_rows(240, seed=seed)[::2] if row["partition"] == "test"]  # one case a patient
        few = [row for label in ("sick", "well") for row in [one for one in rows if one["reference"] == label][:2]]
        write_table(path, [{**row, "partition": "test"} for row in few])
    document = medcls.compare(one, other, out=tmp_path / "few", positive="sick", threshold=0.5, **FAST).document
    assert any("fewer than 20 patients of 'sick' (2), 'well' (2)" in note for note in document["notes"])
    assert "hardly anything" in " ".join((tmp_path / "few" / "compare.html").read_text(encoding="utf-8").split())


def test_dates_in_the_place_of_patients_are_warned_of(tmp_path: Path) -> None:
    rows = [{**row, "patient": f"2021-03-{1 + n % 28:02d}"} for n, row in enumerate(binary_rows(240, seed=3))]
    one, *_ = tables(tmp_path)
    dated = write_table(tmp_path / "dated.csv", [{**row, "partition": "test"} for row in rows])
    evaluated = medcls.evaluate_scores(dated, out=tmp_path / "judged", positive="sick", threshold=0.5, **FAST)
    assert any(
        "column 'patient' should name patients, and all of its values are dates" in one.text
        for one in evaluated.warnings
    )
    notes = medcls.compare(one, dated, out=tmp_path / "c", positive="sick", threshold=0.5, **FAST).document["notes"]
    assert any("patients of 'dated' should name patients" in note for note in notes)


def test_inverted_scores_are_warned_of_and_not_silently_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, _ = tables(tmp_path)
    rows = [{**row, "score": str(1 - float(row["score"]))} for row in binary_rows(240, seed=5, shift=1.6)]
    inverted = write_table(tmp_path / "inverted.csv", rows)
    for second, said in ((other, False), (inverted, True)):
        result = medcls.compare(one, second, out=tmp_path / f"{said}", positive="sick", threshold=0.5, **FAST)
        assert (
            any(
                note.startswith("'inverted': the AUC of sick is below 0.5, its whole interval too")
                for note in result.document["notes"]
            )
            is said
        )
        show.comparison(result, as_json=False, quiet=False)
        assert ("warning: 'inverted': the AUC of sick is below 0.5" in capsys.readouterr().out) is said


def test_scores_of_different_units_are_told_apart(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    rows = [{**row, "score": str(100 * float(row["score"]))} for row in binary_rows(240, seed=5)]
    percent = write_table(tmp_path / "percent.csv", rows)
    for second, said in ((other, False), (percent, True)):
        document = medcls.compare(
            one, second, out=tmp_path / f"{said}", positive="sick", threshold=0.5, **FAST
        ).document
        assert any("scores of 'percent' are outside 0 to 1" in note for note in document["notes"]) is said


def test_one_model_under_two_names_is_asked_about(tmp_path: Path) -> None:
    one, other, _ = tables(tmp_path)
    notes = medcls.compare(one, other, out=tmp_path / "two", positive="sick", **FAST).document["notes"]
    assert not any("are they two models" in note for note in notes)
    same = write_table(tmp_path / "copy.csv", list(reversed(binary_rows(240, seed=0, shift=1.6))))
    notes = medcls.compare(one, same, out=tmp_path / "same", positive="sick", **FAST).document["notes"]
    asked = "'model0' and 'copy' have identical predictions (the same score for every case): are they two models?"
    assert asked in notes


def test_a_model_compared_with_itself_differs_by_nothing_in_a_folder_of_a_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models (old)").mkdir()
    one = write_table(tmp_path / "my_models (old)" / "the model.v2.csv", binary_rows(60, seed=0))
    compared = medcls.compare(one, one, positive="sick", threshold=0.5, **FAST)
    assert compared.folder.name == "comparison-the-model-v2-1-the-model-v2-2"
    for difference in differences(compared.document).values():
        assert [difference["difference"][name] for name in ("low", "value", "high")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("patient", "said"), [(lambda p: f"hospital-{p}", False), (lambda p: "p7" if p == "p8" else p, True)]
)
def test_tables_that_give_cases_to_other_patients_are_told_apart_from_other_names(
    patient: Callable[[str], str], said: bool, tmp_path: Path
) -> None:
    one, _, _ = tables(tmp_path)
    rows = [{**row, "patient": patient(row["patient"])} for row in binary_rows(240, seed=5)]
    if said:
        rows = [{**row, "partition": "test"} if row["patient"] == "p7" else row for row in rows]
    other = write_table(tmp_path / "other.csv", rows)
    notes = medcls.compare(one, other, out=tmp_path / "out", positive="sick", threshold=0.5, **FAST).document["notes"]
    assert any("give the cases to different patients" in note for note in notes) is said
