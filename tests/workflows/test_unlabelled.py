"""Scans without labels in a training: who they may be, that the run says so, and that later evaluations know them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medcls.cohort import Case, Cohort, Exclusion
from medcls.config import Config
from medcls.errors import ConfigError, MedclsError, NothingToDo, RunError, UsageError
from medcls.runs.folder import Run
from medcls.values.label_space import LabelSpace
from medcls.workflows.commands.check import check_run
from medcls.workflows.commands.train import train_run
from medcls.workflows.commands.whose import Origin, lead_back
from medcls.workflows.data.fold_plan import plan_folds
from medcls.workflows.data.prepare import prepare_all, prepare_material
from medcls.workflows.data.unlabelled import in_words, learnt_nothing
from tests.factories.runs import Pictures, names_stay_home, rows, settings

torch.set_num_threads(1)


@dataclass(frozen=True)
class Without:
    """A table of pictures without labels, beside those with labels."""

    pictures: Pictures
    folder: Path
    store: Path

    @property
    def table(self) -> Path:
        return self.folder / "more.csv"

    def config(self, runs: Path, method: str = "fixmatch", **changes: Any) -> Config:
        train = {
            "semi_supervised": method,
            "unlabeled_ratio": 2,
            "confidence_threshold": 0.6,
            **changes.pop("train", {}),
        }
        data = {"cases": self.pictures.table, "unlabeled": self.table, **changes.pop("data", {})}
        kept = {"explanation": {"cases": 0}, "evaluation": {"baseline": False, "replicates": 100}}
        store = {"folder": self.store}
        return settings(self.pictures, runs, data=data, train=train, store=store, **{**kept, **changes})


@pytest.fixture(scope="module")
def without(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Without:
    """24 pictures of others; one of a test patient; one test picture, and one brighter, under other names; a broken one."""
    folder, store = tmp_path_factory.mktemp("without"), tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(5)
    named = {f"more{number}.png": f"other-{number // 2}" for number in range(24)}
    for number, name in enumerate(named):
        pixels = rng.normal(90, 12, (40, 48))
        row, column = rng.integers(4, 24, 2)
        pixels[row : row + 12, column : column + 12] += 110 * (number % 2)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
    test = prepare_material(settings(pictures, folder, store={"folder": store})).cohort.partition("test")
    Image.fromarray(rng.integers(0, 255, (40, 48)).astype(np.uint8)).save(folder / "theirs.png")
    shutil.copy(test[0].scan, folder / "same.png")
    brighter = np.asarray(Image.open(test[1].scan)).astype(float) * 0.9 + 20
    Image.fromarray(brighter.clip(0, 255).astype(np.uint8)).save(folder / "brighter.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    named |= {"theirs.png": test[2].patient, "same.png": "x", "brighter.png": "", "broken.png": "y"}
    lines = "".join(f"{name},{patient}\n" for name, patient in named.items())
    (folder / "more.csv").write_text(f"scan,patient\n{lines}", encoding="utf-8")
    return Without(pictures, folder, store)


@pytest.fixture(scope="module")
def trained(without: Without, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(without.config(tmp_path_factory.mktemp("runs")))


def test_nobody_of_tune_or_test_is_learnt_from_and_the_run_counts_them(trained: Run, without: Without) -> None:
    table = rows(trained.path / "unlabeled.csv")
    assert sum(not row["code"] for row in table) == 24
    out = [row for row in table if row["code"]]
    assert sorted(row["reason"].split(" as")[0] for row in out if row["code"] == "duplicate") == [
        "identical pixels",
        "nearly the same picture",
        "the same patient",
    ]
    assert len(out) == 4
    said = "24 scans of 12 named patients to learn from without labels (fixmatch); 4 left out"
    for document in (trained.report_file, trained.path / "model-card.md"):
        assert said in document.read_text(encoding="utf-8").replace("\\", ""), document
    told = json.loads((trained.classifier_folder / "classifier.json").read_text(encoding="utf-8"))
    assert told["provenance"]["unlabeled_scans"] == 24
    names_stay_home(trained, without.pictures)
    (found,) = lead_back([out[0]["case"]], Origin.of(trained.path)).found.values()
    assert found[0].scan is not None
    assert found[0].scan.parent == without.folder
    assert (found[0].table, found[0].line) == (None, None)
    assert "None" not in str(found[0])


def test_the_history_has_the_loss_without_labels_and_the_share_that_is_sure(trained: Run) -> None:
    history = rows(trained.path / "history.csv")
    assert len(history) == 2
    assert all(0 <= float(row["confident_share"]) <= 1 for row in history)
    assert all(row["unlabeled_loss"] for row in history)


def test_later_cohorts_are_held_against_them_too(trained: Run, without: Without, tmp_path: Path) -> None:
    import medcls

    known = {row["case"]: row for row in rows(trained.path / "training-cases.csv")}
    used = [row for row in rows(trained.path / "unlabeled.csv") if not row["code"]]
    assert all(known[row["case"]]["patient"] == row["patient"] and known[row["case"]]["hash"] for row in used)
    lines = [f"a,{without.folder / 'more0.png'},well,new-1", f"b,{without.folder / 'more1.png'},ill,new-2"]
    (tmp_path / "new.csv").write_text("case,scan,label,patient\n" + "\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(MedclsError, match="2 cases with identical pixels as one of the cases"):
        medcls.evaluate(trained.path, cases=tmp_path / "new.csv", out=tmp_path / "out")


def test_those_that_were_learnt_from_may_still_be_labelled(trained: Run, without: Without, tmp_path: Path) -> None:
    import medcls

    found = medcls.suggest(trained.path, without.table, out=tmp_path)
    assert found.scans == 25  # and the brighter copy of a test picture, which nobody can tell by its digest
    left = {row["scan"]: row["code"] for row in rows(tmp_path / "left-out.csv")}
    assert left == {"theirs.png": "labelled", "same.png": "labelled", "broken.png": "damaged"}


def test_a_killed_run_goes_on_with_the_same_scans_alone(
    without: Without, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medcls.training.module import ClassificationModule

    class Killed(BaseException):
        pass

    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.current_epoch == 1:
            raise Killed
        return step(self, batch, index)

    config = without.config(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(Killed):
            train_run(config)
    begun = tmp_path / "small" / "unlabeled.csv"
    kept = begun.read_text(encoding="utf-8")
    begun.write_text(kept.replace(kept.splitlines()[1] + "\n", ""), encoding="utf-8")
    with pytest.raises(RunError, match="the cohort has changed"):
        train_run(config, resume=True)
    begun.write_text(kept, encoding="utf-8")
    resumed = train_run(config, resume=True)
    histories = [[row["train_loss"] for row in rows(one.path / "history.csv")] for one in (resumed, trained)]
    assert histories[0] == histories[1]
    assert rows(resumed.predictions_file) == rows(trained.predictions_file)


def test_each_fold_leaves_out_those_of_whom_it_holds_out(without: Without, tmp_path: Path) -> None:
    material = prepare_all(without.config(tmp_path, split={"folds": 3}))
    plan = plan_folds(material, without.config(tmp_path, split={"folds": 3}))
    lefts = []
    for part in plan.parts.values():
        assert part.unlabelled is not None
        judged = {case.patient for case in part.cohort.cases if case.partition != "train"}
        assert not judged & {case.patient for case in part.unlabelled.cohort.cases}
        lefts.append(len(part.unlabelled.cohort.cases))
    # A copy of a picture of train may be learnt from; the three are of others than tune and test in some folds.
    assert max(lefts) > min(lefts) >= 24


def test_a_check_counts_them_and_refuses_what_cannot_be(without: Without, tmp_path: Path) -> None:
    ready = check_run(without.config(tmp_path))
    assert any("24 scans of 12 named patients to learn from" in str(one) for one in ready.cautions)
    (tmp_path / "empty").mkdir()
    for data, error, words in (
        ({"unlabeled": tmp_path / "nowhere"}, UsageError, "nothing at this path"),
        ({"unlabeled": tmp_path / "empty"}, NothingToDo, "data.unlabeled: .*: the folder is empty"),
    ):
        with pytest.raises(error, match=words) as caught:
            check_run(without.config(tmp_path, data=data))
        assert "\n" not in str(caught.value)
    (tmp_path / "theirs.csv").write_text(f"scan\n{without.folder / 'same.png'}\n", encoding="utf-8")
    with pytest.raises(NothingToDo, match="no scan without a label is left to learn from: 1 as duplicate"):
        check_run(without.config(tmp_path, data={"unlabeled": tmp_path / "theirs.csv"}))


def test_keys_that_do_not_go_together_are_refused(without: Without, tmp_path: Path) -> None:
    for changes, words in (
        ({"train": {"method": "probe"}}, "semi_supervised trains the network"),
        ({"train": {"semi_supervised": None}}, "nothing learns from them"),
        ({"train": {"semi_supervised": None, "method": "probe"}}, "probe cannot learn from them"),
        ({"data": {"unlabeled": None}}, "needs data.unlabeled"),
        ({"augmentation": {"enabled": False}}, "compares changed images"),
        ({"train": {"semi_supervised": "mean_teacher", "average": "swa"}}, "leave out average: swa"),
        ({"data": {"columns": {"label": ["a", "b"]}}, "positive": None}, "take mean_teacher here"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            without.config(tmp_path, **changes)
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_volumes_and_several_labels_learn_from_others_too(tmp_path: Path) -> None:
    import nibabel

    rng = np.random.default_rng(0)
    (tmp_path / "more").mkdir()
    lines = []
    for number in range(20):
        volume = rng.normal(0, 1, (16, 16, 16)).astype(np.float32)
        volume[:8] += 2 * (number % 2)
        volume[8:] += 2 * (number // 2 % 2)
        place = tmp_path / ("more" if number >= 12 else ".") / f"v{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), place)
        if number < 12:
            lines.append(f"v{number}.nii.gz,{number % 2},{number // 2 % 2}")
    (tmp_path / "cases.csv").write_text("scan,low,high\n" + "\n".join(lines) + "\n", encoding="utf-8")
    given = {
        "data": {
            "cases": tmp_path / "cases.csv",
            "columns": {"label": ["low", "high"]},
            "unlabeled": tmp_path / "more",
        },
        "positive": None,
        "preprocessing": {"size": [16, 16, 16], "dimensions": 3},
        "train": {"semi_supervised": "mean_teacher", "epochs": 1, "batch_size": 4, "loggers": []},
        "evaluation": {"baseline": False, "replicates": 100},
        "explanation": {"cases": 0},
        "store": {"folder": tmp_path / "store"},
    }
    run = train_run(settings(Pictures(tmp_path), tmp_path / "runs", **given))
    (history,) = rows(run.path / "history.csv")
    assert float(history["unlabeled_loss"]) > 0
    assert len(rows(run.path / "unlabeled.csv")) == 8


def test_fixmatch_that_was_never_sure_is_said(tmp_path: Path, without: Without) -> None:
    history = tmp_path / "history.csv"
    config = without.config(tmp_path)
    history.write_text("epoch,confident_share\n1,0.0\n2,0.0\n", encoding="utf-8")
    (said,) = learnt_nothing([history], config)
    assert "no unlabelled scan was ever sure enough" in str(said)
    assert not learnt_nothing([history], without.config(tmp_path, "mean_teacher"))
    other = tmp_path / "other.csv"  # of a run without unlabelled scans, and a probe that has none: joined with it
    other.write_text("epoch,train_loss\n1,0.5\n", encoding="utf-8")
    teacher = tmp_path / "teacher.csv"
    teacher.write_text("epoch,confident_share\n1,\n", encoding="utf-8")
    assert learnt_nothing([history, other, teacher, tmp_path / "none.csv"], config) == learnt_nothing([history], config)
    history.write_text("epoch,confident_share\n1,0.0\n2,0.01\n", encoding="utf-8")
    assert not learnt_nothing([history], config)


@pytest.mark.parametrize(
    ("several", "trainings"),
    [({"ensemble": {"seeds": 2}}, 2), ({"split": {"folds": 2}}, 2)],
    ids=["members", "folds"],
)
def test_several_trainings_that_were_never_sure_say_so_together(
    several: dict[str, Any], trainings: int, without: Without, tmp_path: Path
) -> None:
    run = train_run(without.config(tmp_path, train={"confidence_threshold": 0.999999, "epochs": 1}, **several))
    report = run.report_file.read_text(encoding="utf-8")
    assert f"in {trainings} of {trainings} trainings, no unlabelled scan was ever sure enough" in report.lower()


def test_a_run_that_was_never_sure_says_so_in_its_report_and_card(without: Without, tmp_path: Path) -> None:
    run = train_run(without.config(tmp_path, train={"confidence_threshold": 0.999999, "epochs": 1}))
    for document in (run.report_file, run.path / "model-card.md"):
        assert "o unlabelled scan was ever sure enough" in document.read_text(encoding="utf-8").replace("\\", "")


def test_scans_that_name_no_patient_are_counted_and_warned_of(without: Without, tmp_path: Path) -> None:
    cases = tuple(
        Case(f"s{number}", f"s{number}", tmp_path, (), "train", names_patient=number < 1) for number in range(3)
    )
    space = LabelSpace(("a", "b"), positive="a", multilabel=False)
    first, second = in_words(Cohort(space, cases, (), source=""), without.config(tmp_path))
    assert str(first) == "3 scans of 1 named patient to learn from without labels (fixmatch)"
    assert "2 of 3 scans to learn from without labels name no patient" in str(second)
    refused = (Exclusion("b", "", "damaged", "broken"),)
    (alone,) = in_words(Cohort(space, cases[:1], refused, source=""), without.config(tmp_path))
    assert "1 left out" in str(alone)
    assert "of tune or test" not in str(alone)
