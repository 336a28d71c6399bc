"""A network that another run teaches: on the same test cases, and never on what either of the two holds out."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from medcls.config import Config
from medcls.errors import ConfigError, MedclsError, RunError
from medcls.files import read_csv
from medcls.progress import SILENT
from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from medcls.workflows.data.prepare import prepare_material
from medcls.workflows.fitting.teaching import check_teacher, teach
from medcls.workflows.session import Session
from tests.factories.runs import Pictures, settings

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def teacher(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("teaching")
    return train_run(
        settings(
            pictures,
            folder,
            name="big",
            train={"method": "probe"},
            preprocessing={"size": [40, 40]},
            explanation={"cases": 0},
            evaluation={"baseline": False},
            store={"folder": folder / "store"},
        )
    )


def student(teacher: Run, pictures: Pictures, **changes: Any) -> Config:
    train = {"teacher": "big", "epochs": 1, "teacher_temperature": 1, **changes.pop("train", {})}
    kept = {
        "explanation": {"cases": 0},
        "evaluation": {"baseline": False},
        "store": {"folder": teacher.path.parent / "store"},
    }
    return settings(pictures, teacher.path.parent, name="small", train=train, **{**kept, **changes})


def test_a_student_hears_the_teachers_probabilities_on_the_teachers_own_recipe(
    teacher: Run, pictures: Pictures
) -> None:
    config = student(teacher, pictures)
    session = Session.of(config, SILENT)
    material = prepare_material(config)
    assert check_teacher(material, session).keys() == {
        row["case"] for row in read_csv(teacher.path / "training-cases.csv")
    }
    teaching, again = teach(material, session), teach(material, session)
    assert teaching is not None
    assert again is not None
    assert torch.equal(teaching.soft, again.soft)
    cases = material.cohort.partition("train")
    assert teaching.soft.shape == (len(cases), 2)
    ill = np.array([material.cohort.labels[case.reference[0]] == "ill" for case in cases])
    assert teaching.soft[:, material.cohort.labels.index("ill")].numpy()[ill].mean() > 0.6


def test_the_run_says_who_taught_it_and_is_judged_on_the_same_cases(teacher: Run, pictures: Pictures) -> None:
    run = train_run(student(teacher, pictures, split={"train_part": 0.6}, seed=0))
    told = json.loads((run.classifier_folder / "classifier.json").read_text(encoding="utf-8"))["provenance"]["teacher"]
    assert told["run"] == "big"
    assert len(told["classifier_sha256"]) == 64
    tests = [
        set(table.case[table.partition == "test"])
        for table in map(pd.read_csv, (teacher.predictions_file, run.predictions_file))
    ]
    assert tests[0] == tests[1]
    # What the teacher learnt from and the student was not given is known to later evaluations.
    known = [{row["case"] for row in read_csv(one.path / "training-cases.csv")} for one in (teacher, run)]
    assert known[0] == known[1]
    assert "taught by another run" in (run.path / "checklists" / "claim-2024.md").read_text(encoding="utf-8")
    assert str(teacher.path) not in run.report_file.read_text(encoding="utf-8")


def test_another_split_is_refused_before_a_run_begins(teacher: Run, pictures: Pictures) -> None:
    with pytest.raises(
        RunError, match=r"test patients? of '(big|this training)' (is|are) among those that .* learns from"
    ) as caught:
        train_run(student(teacher, pictures, split={"seed": 9}), name="elsewhere")
    assert "\n" not in str(caught.value)
    assert not (teacher.path.parent / "elsewhere").exists()


def test_an_image_that_the_teacher_learnt_under_another_name_is_found(teacher: Run, pictures: Pictures) -> None:
    copy = Run(shutil.copytree(teacher.path, teacher.path.parent / "copy"))
    config = student(teacher, pictures, train={"teacher": "copy"})
    material = prepare_material(config)
    held_out = material.entries[material.cohort.partition("test")[0].name].pixels
    table = copy.path / "training-cases.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines.append(",".join(["Cother", "", "", "train", held_out, ""]))
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(
        MedclsError, match="identical pixels as one of the cases that the teacher was trained or tuned on"
    ):
        check_teacher(material, Session.of(config, SILENT))


def test_what_cannot_teach_is_said_at_once(teacher: Run, pictures: Pictures) -> None:
    with pytest.raises(RunError, match="no run is here"):
        train_run(student(teacher, pictures, train={"teacher": "bog"}))
    with pytest.raises(ConfigError, match=r"train\.teacher with split\.folds"):
        student(teacher, pictures, split={"folds": 3})
    labels = {"data": {"cases": pictures.table, "label_values": {"ill": "sick"}}, "positive": "sick"}
    with pytest.raises(ConfigError, match="the teacher answers other labels: ill, well, and not sick, well"):
        train_run(student(teacher, pictures, **labels))
