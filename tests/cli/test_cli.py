"""The command line as a user meets it: in its own process, with what it prints and how it exits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories.runs import SMALL, Pictures, make_pictures


def medcls(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "medcls", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; a traceback is never shown."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("medcls: ")]
    assert "Traceback" not in result.stderr
    assert len(lines) == 1, result.stderr
    return lines[0]


def config_file(pictures: Pictures, folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps({**SMALL, "data": {"cases": str(pictures.table)}}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished run in ``runs/small`` and the pictures it was trained on."""
    folder = tmp_path_factory.mktemp("work")
    pictures = make_pictures(folder / "pictures")
    result = medcls("train", "--config", config_file(pictures, folder), "--quiet", folder=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""
    return folder


def test_help_and_version_are_quick_because_nothing_heavy_is_imported(tmp_path: Path) -> None:
    heavy = ("torch", "monai", "numpy", "pandas", "sklearn", "matplotlib", "pydicom", "lightning", "nibabel")
    code = (
        "import sys, runpy\n"
        "sys.argv = ['medcls', '--help']\n"
        "try:\n    runpy.run_module('medcls', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert "train" in result.stdout
    assert medcls("--version", folder=tmp_path).stdout.startswith("medcls ")


def test_importing_medcls_and_reading_scans_loads_neither_torch_nor_monai(work: Path) -> None:
    code = (
        "import sys, medcls\n"
        "assert not {'torch', 'monai', 'numpy'} & set(sys.modules)\n"
        "medcls.read_scan('pictures/image0.png'); medcls.find_scans('pictures')\n"
        "print({'torch', 'monai'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=work, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_infer_uses_the_newest_run_and_writes_a_row_for_each_scan(work: Path) -> None:
    result = medcls("infer", "pictures", folder=work)
    assert result.returncode == 0, result.stderr
    assert "runs/small" in result.stderr
    with open(work / "predictions" / "predictions.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 48
    written = json.loads((work / "predictions" / "predictions.json").read_text(encoding="utf-8"))
    assert {scan["scan"] for scan in written["scans"]} == {row["scan"] for row in rows}


def test_infer_answers_the_others_and_exits_with_3(work: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number in range(3):
        Image.fromarray(np.arange(40 * 48).reshape(40, 48).astype(np.uint8)).save(mixed / f"{number}.png")
    Image.fromarray(np.full((40, 48), 80, np.uint8)).save(mixed / "blank.png")
    (mixed / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (mixed / "letter.docx").write_bytes(b"PK\x03\x04 not a scan")
    result = medcls("infer", mixed, "--model", "small", "--out", tmp_path / "out", "--json", folder=work)
    assert result.returncode == 3
    prediction = json.loads(result.stdout)
    refused = {scan["scan"]: scan["code"] for scan in prediction["scans"] if scan["status"] == "refused"}
    assert (prediction["n_answered"], prediction["n_refused"]) == (3, 3)
    assert refused.keys() == {"broken.png", "letter.docx", "blank.png"}
    assert refused["blank.png"] == "no-contrast"
    assert json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8")) == prediction


def test_a_table_of_scans_is_answered_row_by_row_under_its_own_names(work: Path, tmp_path: Path) -> None:
    folder = work / "pictures"
    (tmp_path / "list.csv").write_text(
        f"scan\n{folder}/image1.png\n{folder}/gone.png\n{folder}/image2.png\n", encoding="utf-8"
    )
    result = medcls("infer", tmp_path / "list.csv", "--out", tmp_path / "out", "--json", folder=work)
    assert result.returncode == 3
    found = {scan["scan"]: scan["status"] for scan in json.loads(result.stdout)["scans"]}
    assert found == {
        f"{folder}/image1.png": "answered",
        f"{folder}/image2.png": "answered",
        f"{folder}/gone.png": "refused",
    }


def test_nothing_to_answer_exits_with_4(work: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = medcls("infer", tmp_path / "empty", "--model", "small", folder=work)
    assert result.returncode == 4
    assert "empty" in complaint(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ("infer", "GONE", "--model", "small"),
        ("infer", "GONE#s1", "--model", "small"),
        ("infer", "pictures", "--model", "GONE"),
        ("explain", "GONE", "--model", "small"),
        ("inspect", "GONE"),
        ("inspect", "pictures#s9"),
        ("evaluate", "GONE"),
        ("evaluate", "small", "--cases", "GONE"),
        ("evaluate-scores", "GONE"),
        ("train", "--config", "GONE"),
    ],
)
def test_a_path_where_nothing_is_exits_with_2_whatever_the_verb(arguments: tuple[str, ...], work: Path) -> None:
    result = medcls(*(one.replace("GONE", "gone.csv") for one in arguments), folder=work)
    assert result.returncode == 2
    line = complaint(result)
    assert "gone.csv" in line or "#s9" in line
    assert "data.cases" not in line  # an option is named, not a key of a config that nobody wrote


def test_explain_takes_the_newest_run_as_infer_does(work: Path, tmp_path: Path) -> None:
    explained = medcls("explain", "--out", tmp_path / "x", folder=work)
    assert explained.returncode == 0, explained.stderr
    assert f"Classifier of the newest finished run: {Path('runs') / 'small'}" in explained.stderr
    assert list((tmp_path / "x").glob("*.png"))
    without = medcls("explain", folder=tmp_path)
    assert without.returncode == 2
    assert "no finished run was found" in complaint(without)


def test_evaluate_and_explain_from_the_command_line(work: Path, tmp_path: Path) -> None:
    evaluated = medcls("evaluate", "small", "--out", tmp_path / "e", "--json", folder=work)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["metrics"]["test"]["n_cases"] > 0
    explained = medcls(
        "explain", "pictures/image2.png", "--model", "runs/small", "--out", tmp_path / "x", "--json", folder=work
    )
    assert explained.returncode == 0, explained.stderr
    prediction = json.loads(explained.stdout)
    (one,) = prediction["explained"]
    for kind in ("picture", "map"):
        assert Path(prediction["folder"], one["explanation"][kind]).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--config", "gone.yaml"], "no such config file"),
        (["train", "--config", "small.yaml", "--set", "train.epoch=5"], "Did you mean 'train.epochs'"),
        (["train", "--config", "small.yaml", "--set", "data.columns.label=diagnosis"], "no column 'diagnosis'"),
        (["train", "--config", "small.yaml", "--run", "small"], "exists"),
        (["train", "--config", "small.yaml", "--set", "model.weights=gone.pth"], "gone.pth"),
        (["infer", "pictures", "--model", "smal"], "Did you mean 'small'"),
        (["evaluate", "runs/gone"], "no run is here"),
        (["explain", "pictures", "--model", "small", "--label", "sick"], "no label 'sick'"),
        (["demo", "--region", "knee"], "lung, brain, stomach"),
    ],
)
def test_wrong_use_is_one_line_and_exits_with_2(work: Path, arguments: list[str], words: str) -> None:
    before = sorted(path.name for path in (work / "runs").iterdir())
    result = medcls(*arguments, folder=work)
    assert result.returncode == 2
    assert words in complaint(result)
    assert sorted(path.name for path in (work / "runs").iterdir()) == before


def test_a_class_with_one_patient_is_refused(work: Path, tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "few", patients=8)
    lines = pictures.table.read_text(encoding="utf-8").splitlines()
    well = [line for line in lines[1:] if line.endswith("well")]
    ill = [line for line in lines[1:] if line.endswith("ill")][:1]
    pictures.table.write_text("\n".join([lines[0], *well, *ill]) + "\n", encoding="utf-8")
    result = medcls("train", "--config", config_file(pictures, tmp_path), folder=tmp_path)
    assert result.returncode == 2
    assert "'ill' has 1 patient" in complaint(result)
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_one_line_and_keeps_what_was_finished(work: Path, tmp_path: Path) -> None:
    """A limit on the size of files, as a quota has it, stands for a full disk: weights do not fit, tables do."""
    resource = pytest.importorskip("resource")
    config = config_file(Pictures(work / "pictures"), tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "medcls", "train", "--config", str(config)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        ),
    )
    assert result.returncode == 1
    assert "cannot write" in complaint(result)
    run = tmp_path / "runs" / "small"
    assert not list(run.rglob("*.part"))
    assert not (run / "classifier").exists()
    resumed = medcls("train", "--config", config, "--resume", "--quiet", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (run / "report.html").is_file()


def test_ctrl_c_is_one_line_and_the_run_can_be_resumed(work: Path, tmp_path: Path) -> None:
    config = config_file(Pictures(work / "pictures"), tmp_path)
    long = ("--set", "train.epochs=60", "--set", "train.patience=null")
    process = subprocess.Popen(
        [sys.executable, "-m", "medcls", "train", "--config", str(config), *long],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background ignores Ctrl-C, and so would everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:  # which closes its pipes
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "epoch 2 of" in line:
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.readlines()
    assert process.returncode == 1
    assert sum("stopped" in line for line in said) == 1
    assert not any("Traceback" in line for line in said)
    run = tmp_path / "runs" / "small"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert not list(run.rglob("*.part"))
    history = (run / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(history) >= 3


def test_two_trainings_do_not_share_a_run_folder(work: Path, tmp_path: Path) -> None:
    from medcls.errors import RunError
    from medcls.runs.folder import Run

    run = Run(tmp_path / "run")
    with run.locked(), pytest.raises(RunError, match="another process"), run.locked():
        pass


def test_doctor_finds_this_machine_ready(tmp_path: Path) -> None:
    result = medcls("doctor", "--json", folder=tmp_path)
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.returncode == 0, result.stdout
    assert checks["training step"]["ok"]
    assert checks["decoders"]["ok"]


def test_explained_test_cases_stay_apart_from_the_reports_and_are_called_as_the_run_calls_them(work: Path) -> None:
    run = work / "runs" / "small"
    before = {path.name: path.read_bytes() for path in (run / "explanations").iterdir()}
    explained = medcls("explain", "--model", "small", folder=work)
    assert explained.returncode == 0, explained.stderr
    with open(run / "explanations-test" / "explanations.csv", newline="", encoding="utf-8") as handle:
        rows = {row["scan"]: row for row in csv.DictReader(handle)}
    with open(run / "predictions.csv", newline="", encoding="utf-8") as handle:
        predictions = {row["case"]: row for row in csv.DictReader(handle) if row["partition"] == "test"}
    assert rows.keys() == predictions.keys()
    for name, row in rows.items():
        assert row["patient"] == predictions[name]["patient"]
        assert float(row["map_probability"]) == pytest.approx(float(predictions[name]["p_ill"]), abs=1e-5)
        assert row["picture"].startswith(f"{name}--ill--grad-cam--small-")
    assert {path.name: path.read_bytes() for path in (run / "explanations").iterdir()} == before
    assert {"explanations.csv", "explanations.json"} < before.keys()
    kept = medcls("explain", "--model", "small", "--identifiers", "keep", folder=work)
    assert kept.returncode == 2
    assert "belongs to scans" in complaint(kept)
    assert not (run / "explanations-test-2").exists()


_AT_ANY_MOMENT = """
import atexit, importlib.metadata, os, signal, sys
import medcls.__main__ as medcls
def stop(*_):
    os.kill(os.getpid(), signal.SIGINT)
def half_imported():
    try:
        stop()
    except KeyboardInterrupt:
        raise ImportError
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["medcls", "--version"]
"""


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("medcls._command = stop", 1),
        ("medcls._command = half_imported", 1),
        (
            "medcls._command = lambda: eval('stop()')",
            1,
        ),  # after which Python ends by the signal unless it is told not to
        ("importlib.metadata.version = stop", 1),  # while the command line is read
        ("atexit.register(stop); medcls._command = lambda: 3", 3),
        (
            "sys.late = type('', (), {'__del__': lambda _, kill=os.kill, me=os.getpid(): kill(me, 2)})()\n"
            "medcls._command = lambda: 3",
            3,
        ),
    ],
)
def test_ctrl_c_at_any_moment_is_one_line_and_a_code(moment: str, code: int, tmp_path: Path) -> None:
    script = f"{_AT_ANY_MOMENT}{moment}\nmedcls.main()"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert [line[:15] for line in result.stderr.splitlines()] == (["medcls: stopped"] if code == 1 else [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_an_output_that_takes_nothing_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "medcls", "--help"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "medcls: the output: no space left on device\n")
