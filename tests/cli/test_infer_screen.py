"""What the screen says of predictions: which to doubt, why scans were refused, and what notes mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from medcls.classifier import Prediction, Row
from medcls.cli import show
from medcls.evaluation.shift.out_of_distribution import familiar_with
from medcls.privacy import Pseudonyms
from medcls.workflows.commands.infer import Inference, infer
from tests.factories.dicom import save_all, slices
from tests.factories.engines import LABELS, classifier


def said(result: Inference, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    show.inference(result, as_json=False, quiet=False)
    return capsys.readouterr().out.splitlines()


def row(name: str, *, refer: bool = False, unlike: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Row:
    return Row(name, prediction=Prediction(("ill",), (0.75, 0.25), refer=refer), unlike=unlike, notes=notes)


def test_each_answer_that_is_not_to_be_taken_as_it_is_says_so_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        row("plain.png", notes=("alpha: transparency was dropped",)),
        row("far.png", unlike=("channels 1 (training: 3)",), notes=("alpha: transparency was laid on black", "turned")),
        row("both.png", refer=True, unlike=("channels 1 (training: 3)",)),
        Row("gone.png", code="damaged", reason="cut short. Copy it again"),
    )
    result = Inference(rows, LABELS, classifier().operating_point, Path("out"), familiar=familiar_with([], []))
    lines = said(result, capsys)
    assert lines[0].split() == ["scan", "prediction", "probabilities", "warnings"]
    marks = {line.split()[0]: line.partition("0.250")[2].strip() for line in lines[1:4]}
    assert marks == {"plain.png": "", "far.png": "unlike training", "both.png": "refer, unlike training"}
    assert "1 refused as damaged, for example gone.png: cut short. Copy it again" in lines
    assert "2 scans with the note 'alpha', for example plain.png: transparency was dropped" in lines
    assert "1 scan with the note 'turned', for example far.png" in lines
    assert "REFER: 1 of 3 scans with a prediction should be decided by a reader, for example both.png" in lines
    assert any(line.startswith("warning: 2 of 3 scans with a prediction are far") for line in lines)


def test_a_remedy_that_is_a_setting_says_where_it_is_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_all(slices([0, 2, 4, 8]), tmp_path / "ct")
    result = infer(classifier(dimensions=3), tmp_path, tmp_path / "out", Pseudonyms(b"key" * 11))
    (one,) = result.rows
    assert one.code == "gap"
    assert one.reason.endswith("missing slices. That is a setting of the training, which the classifier keeps")
    assert any(one.reason in line for line in said(result, capsys))
