"""The config file: what it may say, and what it answers when it says something else."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from medcls.config import config_schema, config_text, load_config, validate_config
from medcls.errors import ConfigError
from tests.conftest import REPOSITORY


def write(folder: Path, text: str) -> Path:
    path = folder / "lung.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fault(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(write(folder, text), overrides)
    line = str(error.value)
    assert "\n" not in line
    return line


SMALLEST = """\
region: lung
data:
  cases: cases.csv
positive: inflammation
model: resnet18
"""


def test_one_number_is_the_size_of_every_axis(tmp_path: Path) -> None:
    text = "preprocessing: {dimensions: 3, size: 64, spacing: 1.5}\n"
    preprocessing = load_config(write(tmp_path, text)).preprocessing
    assert (preprocessing.size, preprocessing.spacing) == ([64] * 3, [1.5] * 3)


def test_a_bare_off_of_yaml_is_the_word(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("split: {near_duplicates: off}\n", encoding="utf-8")
    assert load_config(file).split.near_duplicates == "off"


def test_the_smallest_file_is_enough(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SMALLEST))
    assert config.name == "lung"
    assert config.model.name == "resnet18"
    assert config.data.cases == tmp_path / "cases.csv"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("region: lnug\n", ["lung.yaml:1", "region", "Did you mean 'lung'", "stomach"]),
        ("region: lung\ntrain:\n  epoch: 4\n", ["lung.yaml:3", "train.epoch", "Did you mean 'train.epochs'"]),
        ("region: lung\ntrain:\n  epochs: four\n", ["lung.yaml:3", "train.epochs", "needs a whole number", "four"]),
        ("epochs: 4\n", ["lung.yaml:1", "unknown key 'epochs'", "Did you mean 'train.epochs'"]),
        (
            "data:\n  columns: {Label: x}\n",
            ["lung.yaml:2", "'data.columns.Label'", "Did you mean 'data.columns.label'"],
        ),
        ("model: {freeze: true}\n", ["lung.yaml:1", "model.freeze", "a number, not true or false"]),
        ("train: {batch_size: true}\n", ["lung.yaml:1", "train.batch_size", "true and false mean nothing here"]),
        ("split: {allow_leakage: ''}\n", ["lung.yaml:1", "split.allow_leakage", "must not be empty"]),
        ("train: {epochs: 0}\n", ["lung.yaml:1", "train.epochs", "at least 1"]),
        ("region: lung\nregion: brain\n", ["lung.yaml:2", "twice"]),
        ("region: [lung\n", ["lung.yaml:2", "YAML"]),
        ("data: 3\n", ["data", "mapping", "cases, folder"]),
        ("- a\n", ["mapping"]),
        ("region: lung\n\ttrain: 1\n", ["lung.yaml:2", "a tab"]),
        ("positive: a: b\n", ["lung.yaml:1", "quotes"]),
        ("positive: 'a\n", ["YAML", "not closed"]),
        ("region: lung\n  train: 1\n", ["lung.yaml:2", "indented by 2 blanks, and the key before by 0"]),
        ("train:\n  epochs: 1\n\n   device: cpu\n", ["lung.yaml:4", "indented by 3 blanks, and the key before by 2"]),
        ("# what\nregion:lung\ndata:\n  cases: a\n", ["lung.yaml:2", "a blank is missing after the ':' of 'region:'"]),
        ("train:\n  device: cpu\n  epochs:5\nseed: 1\n", ["lung.yaml:3", "missing after the ':' of 'epochs:'"]),
        (
            "seed: 0\n<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> b\n",
            ["lung.yaml:2", "a merge of git", "keep one"],
        ),
        ("data:\n  positive: ill\n", ["lung.yaml:2", "Did you mean 'positive' at the top, not indented?"]),
        ("train: {ema_decay: 2}\n", ["train.ema_decay", "less than 1 (given: 2)"]),
        ("model: {weights_sha256: abc}\n", ["lung.yaml:1", "model.weights_sha256", "64 hexadecimal digits", "'abc'"]),
        ("train:\n  epochs: 3\n region: lung\n", ["lung.yaml:3", "indentation"]),
        ("train: {clip_norm: [1]}\n", ["train.clip_norm", "(given: [1])"]),
        ("data: {cases: a.csv, folder: b}\n", ["cases", "folder", "not both"]),
        ("preprocessing: {slices: middel}\n", ["preprocessing.slices", "Did you mean 'middle'"]),
        ("evaluation: {operating_point: {sensitivty: 0.9}}\n", ["evaluation.operating_point", "{sensitivity: x}"]),
        ("evaluation: {operating_point: {cost: {false_negative: 5}}}\n", ["evaluation.operating_point", "{cost: {"]),
        ("evaluation: {operating_point: {threshold: 2}}\n", ["evaluation.operating_point", "{threshold: x}"]),
        ("evaluation: {calibrate: plat}\n", ["evaluation.calibrate", "Did you mean 'platt'", "dirichlet"]),
        ("evaluation: {refer: {coverge: 0.9}}\n", ["evaluation.refer", "{coverage: 1 - x}"]),
        ("model: resnet1\n", ["model.name", "resnet18"]),
        ("preprocessing: {size: 64}\n", ["lung.yaml:1", "[64, 64] for 2-D", "[64, 64, 64] for 3-D"]),
        ("split: {tune: 15}\n", ["split.tune", "15 % is 0.15"]),
        ("train: {device: gpu}\n", ["Did you mean 'cuda'"]),
        ("train: {epochs:}\n", ["train.epochs", "whole number", "nothing"]),
        ("data: {labels: ill}\n", ["data.labels", "a list, in square brackets"]),
    ],
)
def test_a_fault_names_place_key_and_what_is_allowed(tmp_path: Path, text: str, parts: list[str]) -> None:
    line = fault(tmp_path, text)
    for part in parts:
        assert part in line


def test_a_file_cannot_run_anything(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    line = fault(tmp_path, f"region: !!python/object/apply:os.mkdir ['{marker}']\n")
    assert "plain YAML" in line
    assert not marker.exists()


def test_an_override_wins_and_is_named_when_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, SMALLEST)
    config = load_config(path, ["train.epochs=5", "model.dropout=0.3"], {"train": {"epochs": 7}})
    assert (config.train.epochs, config.model.dropout, config.model.name) == (7, 0.3, "resnet18")
    assert "--set train.epoch=5" in fault(tmp_path, SMALLEST, "train.epoch=5")
    assert fault(tmp_path, SMALLEST, "trian.epochs=5").startswith("--set trian.epochs=5: ")
    assert "key=value" in fault(tmp_path, SMALLEST, "train.epochs")


def test_an_override_that_does_not_fit_the_file_is_named_and_the_file_is_not(tmp_path: Path) -> None:
    text = "region: lung\npreprocessing:\n  dimensions: 2\n  size: [64, 64]\n"
    line = fault(tmp_path, text, "preprocessing.size=[64,64,64]")
    assert line.startswith("--set preprocessing.size=[64,64,64]: ")
    assert "size has 3 numbers, but dimensions is 2" in line
    assert fault(tmp_path, text, "preprocessing.dimensions=3").startswith("--set preprocessing.dimensions=3: ")
    assert fault(tmp_path, text, "preprocessing.size=[64,x]").startswith("--set preprocessing.size=[64,x]: ")
    assert "lung.yaml:2" in fault(tmp_path, text.replace("[64, 64]", "[64]"), "train.epochs=2")


def test_a_table_and_a_folder_from_outside_are_refused_whichever_comes_last(tmp_path: Path) -> None:
    for text in (SMALLEST, "region: lung\ndata:\n  folder: scans\n"):
        for overrides in (["data.cases=a", "data.folder=b"], ["data.folder=b", "data={cases: a}", "data.folder=c"]):
            line = fault(tmp_path, text, *overrides)
            assert line.startswith("--set data")
            assert "not both" in line
        for names in (("cases", "folder"), ("folder", "cases")):
            with pytest.raises(ConfigError, match="not both"):
                load_config(write(tmp_path, text), (), {"data": dict.fromkeys(names, "a")})
        with pytest.raises(ConfigError, match="not both"):
            load_config(write(tmp_path, text), ["data.cases=a"], {"data": {"folder": "b"}})
    assert load_config(write(tmp_path, SMALLEST), ["data.folder=null"]).data.cases == tmp_path / "cases.csv"


def test_labels_and_cells_keep_the_text_that_the_file_has(tmp_path: Path) -> None:
    text = """\
positive: true
data:
  labels: [01, 1.0, 0x1F, 1e3, True, 2020-01-02]
  label_values: {true: 1.50, 01: 007, 1: 1_000, 2020-01-02: off}
  columns: {label: 01, patient: 10, covariates: [2.50]}
split: {values: {0: train, 00: tune, 0.0: test}}
train: {epochs: 03}
"""
    config = load_config(write(tmp_path, text), ["name=2024_01"])
    assert config.positive == "true"
    assert config.data.labels == ["01", "1.0", "0x1F", "1e3", "True", "2020-01-02"]
    assert config.data.label_values == {"true": "1.50", "01": "007", "1": "1_000", "2020-01-02": "off"}
    assert (config.data.columns.label, config.data.columns.patient) == ("01", "10")
    assert config.data.columns.covariates == ["2.50"]
    assert config.split.values == {"0": "train", "00": "tune", "0.0": "test"}
    assert (config.train.epochs, config.name) == (3, "2024_01")
    assert load_config(write(tmp_path, config_text(config))) == config
    assert load_config(None, ["data.labels=[01, 1.0]", "positive=01"]).data.labels == ["01", "1.0"]
    assert load_config(None, ["data.columns.label=[01, 1.0]"]).data.columns.label == ["01", "1.0"]
    assert load_config(None, ["data.columns.patient=null"]).data.columns.patient is None


def test_a_folder_from_the_command_line_replaces_the_files_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(write(tmp_path, SMALLEST), ["data.folder=scans"])
    assert config.data.cases is None
    assert config.data.folder == tmp_path / "scans"


def test_paths_start_from_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_config(write(tmp_path, SMALLEST)).data.cases == tmp_path / "cases.csv"


def test_the_resolved_text_alone_gives_the_same_config(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SMALLEST), ["evaluation.operating_point={sensitivity: 0.9}"])
    resolved = tmp_path / "config.yaml"
    resolved.write_text(config_text(config), encoding="utf-8")
    assert load_config(resolved) == config


def test_words_that_yaml_takes_for_booleans_and_numbers_can_be_labels(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, "data: {label_values: {no: normal, 1: ill}}\npositive: yes\n"),
        ["train.precision=32", "data.labels=[yes, no]"],
    )
    assert config.data.label_values == {"no": "normal", "1": "ill"}
    assert (config.positive, config.data.labels, config.train.precision) == ("yes", ["yes", "no"], "32")


def test_a_mapping_that_is_one_value_is_replaced_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "evaluation: {operating_point: {specificity: 0.9}}\n")
    config = load_config(path, (), {"evaluation": {"operating_point": {"sensitivity": 0.9}}})
    assert (
        config.evaluation.operating_point
        == validate_config({"evaluation": {"operating_point": {"sensitivity": 0.9}}}).evaluation.operating_point
    )


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, SMALLEST)
    with pytest.raises(ConfigError, match=r"Did you mean '.*lung.yaml'"):
        load_config(tmp_path / "lnug.yaml")


@pytest.mark.parametrize("name", ["lung", "brain", "stomach"])
def test_the_shipped_configs_are_valid_and_match_the_published_schema(name: str) -> None:
    path = REPOSITORY / "configs" / f"{name}.yaml"
    assert load_config(path).region == name
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), config_schema())


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    for wrong in ({"region": "lnug"}, {"train": {"epoch": 4}}, {"model": "resnet1"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, config_schema())
        with pytest.raises(ConfigError):
            validate_config(wrong)


@pytest.mark.parametrize(
    ("written", "method"),
    [("true", "temperature"), ("false", None), ("temperature", "temperature"), ("isotonic", "isotonic")],
)
def test_calibrate_is_a_switch_or_a_method(tmp_path: Path, written: str, method: str | None) -> None:
    path = write(tmp_path, f"evaluation: {{calibrate: {written}}}\n")
    assert load_config(path).evaluation.calibration_method == method
    assert load_config(path, ["evaluation.calibrate=platt"]).evaluation.calibration_method == "platt"


def test_refer_states_how_often_a_set_may_miss(tmp_path: Path) -> None:
    path = write(tmp_path, "evaluation: {refer: {coverage: 0.95}}\n")
    assert load_config(path).evaluation.alpha == pytest.approx(0.05)
    assert load_config(path, ["evaluation.refer={alpha: 0.2}"]).evaluation.alpha == 0.2
    assert load_config(path, ["evaluation.refer=false"]).evaluation.refer is False
    assert load_config(None).evaluation.alpha == 0.1


def test_costs_are_kept_whole(tmp_path: Path) -> None:
    costs = {"false_negative": 5, "false_positive": 1, "prevalence": 0.02}
    config = load_config(None, (), {"evaluation": {"operating_point": {"cost": costs}}})
    resolved = tmp_path / "config.yaml"
    resolved.write_text(config_text(config), encoding="utf-8")
    assert load_config(resolved).evaluation == config.evaluation


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 9)}]\n" for before, here in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (LAUGHS, ["lung.yaml:", "aliases stand for too many values"]),
        ("data: &d {columns: *d}\n", ["lung.yaml:1", "an alias stands for itself"]),
        ("data: &d [*d]\n", ["lung.yaml:1", "an alias stands for itself"]),
        ("<<: &d {<<: *d}\n", ["lung.yaml:1", "'<<' is not a valid value"]),
        ("[" * 100_000, ["lung.yaml:1", "nested too deeply"]),
        ("{a: " * 100_000, ["lung.yaml:1", "nested too deeply"]),
        ("a:\n" + "".join(" " * depth + "- \n" for depth in range(900)), ["lung.yaml:", "nested too deeply"]),
        ("- " * 100_000, ["lung.yaml:1", "nested too deeply"]),
        ("x: [" + "1," * 200_000 + "]", ["lung.yaml:1", "more values than any config has"]),
        ("x: " + "y" * (1 << 21), ["lung.yaml", "larger than 1 MiB"]),
        ("seed: !!int ''\n", ["lung.yaml:1", "'' is not a valid value"]),
        ("seed: !!int x\n", ["lung.yaml:1", "'x' is not a valid value"]),
        ("seed: !!timestamp x\n", ["lung.yaml:1", "'x' is not a valid value"]),
        ("seed: 2000-13-45\n", ["lung.yaml:1", "is not a valid value"]),
        ("seed: !!bool x\n", ["lung.yaml:1", "'x' is not a valid value"]),
        ("seed: !!float x\n", ["lung.yaml:1", "'x' is not a valid value"]),
        ("seed: .inf\n", ["lung.yaml:1", "'.inf' is not a valid value"]),
        ("seed: " + "9" * 10_000, ["lung.yaml:1", "is not a valid value"]),
        ("seed: 1" + ":59" * 100_000, ["lung.yaml:1", "is not a valid value"]),
        ("name: !!binary QQ==\n", ["lung.yaml:1", "only plain YAML values"]),
        ("data: !!set {cases}\n", ["lung.yaml:1", "only plain YAML values"]),
        ('name: "a\\0b"\n', ["lung.yaml:1", "is not a valid value"]),
        ('name: "\\ud800"\n', ["lung.yaml:1", "is not a valid value"]),
        ('name: "\\U7fffffff"\n', ["lung.yaml", "not valid YAML"]),
        ('data: {cases: "a\\0b.csv"}\n', ["lung.yaml:1", "is not a valid value"]),
        ("name: a\0b\n", ["lung.yaml", "not valid YAML"]),
        ("seed: 99999999999999999999\n", ["lung.yaml:1", "seed", "less than"]),
        ("train: {workers: 1000000000}\n", ["lung.yaml:1", "train.workers", "at most 1024"]),
        ("region: " + "x" * 100_000 + "\n", ["lung.yaml:1", "region", "xxx…"]),
        ("x" * 100_000 + ": 1\n", ["lung.yaml", "not valid YAML"]),  # a key of YAML has 1024 characters at most
        ("y" * 1000 + ": 1\n", ["lung.yaml:1", "unknown key", "yyy…"]),
    ],
)
def test_a_config_made_to_harm_costs_little_and_is_one_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    line = fault(tmp_path, text)
    for part in parts:
        assert part in line
    assert len(line) < 1000


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder"])
def test_a_config_that_is_no_regular_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yaml"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ConfigError, match=f"cannot be read: {kind}"):
        load_config(path)


def test_aliases_within_reason_are_what_they_stand_for(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "data: {columns: {covariates: &f [age, sex]}, labels: *f}\n"))
    assert config.data.labels == ["age", "sex"]


def test_an_override_made_to_harm_is_one_line(tmp_path: Path) -> None:
    assert "Put quotes around it" in fault(tmp_path, SMALLEST, "seed=" + "[" * 10_000)
    assert "is not a valid value" in fault(tmp_path, SMALLEST, "seed=!!int ''")


@pytest.mark.parametrize("role", ["case", "patient", "scan", "split", "covariates"])
def test_the_column_of_the_label_is_nothing_else(role: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, (), {"data": {"columns": {role: ["label"] if role == "covariates" else "label"}}})
    assert f"the column 'label' is that of the label, and cannot be {role} too" in str(error.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "preprocessing={dimensions: 2D, size: 32}",
            "'2D' is not allowed for 'preprocessing.dimensions'. Did you mean '2'? Allowed: 2, 3",
        ),
        (
            "preprocessing.steps.window=null",
            "'nothing' is not allowed for 'preprocessing.steps.window'. Change single steps",
        ),
        ("evaluation.operating_point={sensitivity: 95}", """'{"sensitivity": 95}' is not allowed"""),
        ("augmentation.monai=[RandGibbsNoise]", "needs a mapping of keys. MONAI random transforms"),
        ("split.train=0.7", "unknown key 'split.train'. What tune and test leave is trained on"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_yaml_with_what_is_allowed(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, (override,))
    assert said in str(error.value)


def test_covariates_are_read_under_their_former_name_but_not_under_both() -> None:
    found = load_config(None, (), {"data": {"columns": {"facts": ["age"]}}})
    assert found.data.columns.covariates == ["age"]
    with pytest.raises(ConfigError, match="'facts' is the former name of 'covariates'"):
        load_config(None, (), {"data": {"columns": {"facts": ["age"], "covariates": ["sex"]}}})


def test_a_mistyped_key_among_many_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(ConfigError) as told:
        load_config(None, (), {"train": {"epohcs": 3}})
    assert str(told.value).endswith("Did you mean 'train.epochs'?")
    with pytest.raises(ConfigError, match=r"Allowed: .*epochs.*, unlabeled_ratio"):
        load_config(None, (), {"train": {"zzzz": 3}})
