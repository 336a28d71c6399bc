"""The documentation is true: the tutorial runs, commands parse, configs are valid, links lead somewhere, pages are current."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import medcls
from medcls.cli.app import app
from medcls.config import load_config
from medcls.config.settings import Config
from medcls.errors import MissingExtraError
from medcls.evaluation import METRICS, metrics_schema
from medcls.preprocessing import build_recipe
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
_BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ONLINE = "https://github.com/medcls/medcls/blob/main/"
# Written beside this page by hand after real runs; until then the links to them wait.
_MADE_ELSEWHERE = {"docs/results.md", "docs/performance.md", "docs/images/report.png"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, language, what else stands on the fence, and its text."""

    page: Path
    language: str
    info: str
    text: str


def page_name(value: Any) -> str:
    path = value.page if isinstance(value, Block) else value
    return path.relative_to(REPOSITORY).as_posix()


def blocks_of(page: Path) -> list[Block]:
    found = []
    for info, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        language, _, rest = info.strip().partition(" ")
        found.append(Block(page, language, rest, text))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def with_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


@functools.cache
def verbs() -> dict[str, Any]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return commands


def commands_in(text: str) -> list[list[str]]:
    """The words after ``medcls`` of every command line."""
    lines = (shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("medcls "))
    return [words[1:] for words in lines]


@pytest.fixture(scope="module")
def after_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every block of the tutorial has been run, in order."""
    folder = tmp_path_factory.mktemp("tutorial")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for block in blocks_of(DOCS / "tutorial.md"):
        if block.language == "yaml":
            (folder / block.info.removeprefix("title=").strip('"')).write_text(block.text, encoding="utf-8")
            continue
        if not block.language:
            continue
        shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, block.text], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return folder


def test_the_tutorial_runs_and_leaves_what_it_says(after_tutorial: Path) -> None:
    for name in ("predictions/predictions.csv", "looked.png", "looked.nii.gz", "runs/lesion/report.html"):
        assert (after_tutorial / name).is_file(), name
    assert (after_tutorial / "runs/lesion/evaluation-cases/report.html").is_file()


def test_the_run_folder_page_has_every_file_and_every_key(after_tutorial: Path) -> None:
    page = (DOCS / "reference" / "run-folder.md").read_text(encoding="utf-8")
    run = after_tutorial / "runs" / "lesion"
    names = [path.name for path in run.iterdir() if not path.name.startswith("evaluation-")]
    names += [path.name for folder in ("checkpoints", "classifier") for path in (run / folder).iterdir()]
    columns = [
        column
        for table in ("history.csv", "predictions.csv", "excluded.csv")
        for column in (run / table).read_text(encoding="utf-8").splitlines()[0].split(",")
        if not column.startswith("p_")
    ]
    keys = metrics_schema()["$defs"]["partition"]["properties"].keys() - METRICS.keys()
    missing = [word for word in (*names, *columns, *keys) if not re.search(rf"`{re.escape(word)}/?`", page)]
    assert missing == []


def test_paths_into_metrics_lead_to_a_value_in_a_file_of_that_kind(after_tutorial: Path, tmp_path: Path) -> None:
    rows = [f"c{number},{number % 2},{(number * 7 % 11) / 11}" for number in range(40)]
    (tmp_path / "s.csv").write_text("case,reference,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    judged = medcls.evaluate_scores(tmp_path / "s.csv", tmp_path / "judged", exploratory=True, replicates=100)
    files = [judged.folder, after_tutorial / "runs/lesion", after_tutorial / "runs/lesion/evaluation-cases"]
    kinds = [json.loads((folder / "metrics.json").read_text(encoding="utf-8")) for folder in files]
    named = {path for page in PAGES for path in re.findall(r"`(\w+\.operating_point\.\w+)`", prose(page))}
    assert {"test.operating_point.exploratory", "external.operating_point.exploratory"} <= named
    for path in named:
        partition, *keys = path.split(".")
        found = [
            functools.reduce(lambda value, key: value[key], keys, one[partition]) for one in kinds if partition in one
        ]
        assert found, path
    assert kinds[0]["test"]["operating_point"]["exploratory"] is True


def test_the_table_of_what_metrics_hold_is_true(after_tutorial: Path, tmp_path: Path) -> None:
    page = (DOCS / "reference" / "run-folder.md").read_text(encoding="utf-8")
    listed = re.search(r"^Sections are (.*?)\. Each of", page, re.MULTILINE | re.DOTALL)
    assert listed is not None
    sections = set(re.findall(r"`(\w+)`", listed[1]))
    said = dict(re.findall(r"^\| `(medcls (?:train|evaluate)[^|]*)` \| ([^\n]*) \|$", page, re.MULTILINE))
    rows = [
        f"c{number},{number % 2},{(number * 7 % 11) / 11},{'tune' if number < 20 else 'test'}" for number in range(60)
    ]
    (tmp_path / "s.csv").write_text("case,reference,score,partition\n" + "\n".join(rows) + "\n", encoding="utf-8")
    judged = medcls.evaluate_scores(tmp_path / "s.csv", tmp_path / "judged", replicates=100).folder
    run = after_tutorial / "runs/lesion"
    kinds: list[tuple[str, Path, dict[str, set[str]], str]] = [
        (
            "medcls train",
            run,
            {"tune": {"baseline", "probe", "shift"}, "test": {"shift"}},
            "All but `shift`; `baseline` and `probe` on `test` alone",
        ),
        ("medcls evaluate RUN --cases FILE", run / "evaluation-cases", {"external": {"probe"}}, "All but `probe`."),
        (
            "medcls evaluate-scores TABLE",
            judged,
            {"tune": sections, "test": {"baseline", "probe", "shift"}},
            "`test`: all but `baseline`, `probe` and `shift`. `tune`: none",
        ),
    ]
    for kind, folder, absent, words in kinds:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        assert {name: sections - one.keys() for name, one in metrics.items()} == absent, kind
        keys, _, missing = said[kind].partition(" | ")
        assert set(re.findall(r"`(\w+)`", keys)) >= metrics.keys(), kind
        assert missing.startswith(words), kind


@pytest.mark.parametrize("block", with_language("bash"), ids=page_name)
def test_every_command_line_parses(block: Block) -> None:
    for words in commands_in(block.text):
        verb = verbs()[words[0]]
        with verb.make_context(words[0], words[1:]):  # wrong options, types and missing arguments raise
            pass


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_in_sentences_have_known_verbs_and_options(page: Path) -> None:
    for text in re.findall(r"`(medcls [^`]+)`", prose(page)):
        words = re.findall(r"[^\s\[\]]+", text)[1:]
        if words[0] in ("--version", "--install-completion", "VERB"):
            continue
        verb = verbs()[words[0]]
        known = {flag for option in verb.params for flag in option.opts} | {"--help", "-h"}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, text


@pytest.mark.parametrize("block", with_language("bash"), ids=page_name)
def test_scripts_that_are_named_exist_and_have_the_options_named(block: Block) -> None:
    for name, options in re.findall(r"(?:^|\s)(scripts/[\w-]+)((?: --[\w-]+)*)", block.text):
        assert os.access(REPOSITORY / name, os.X_OK), name
        code = (REPOSITORY / name).read_text(encoding="utf-8")
        assert [option for option in options.split() if option not in code] == [], name


@pytest.mark.parametrize("block", with_language("yaml"), ids=page_name)
def test_every_config_and_every_part_of_one_is_valid(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "part.yaml"
    path.write_text(block.text, encoding="utf-8")
    config = load_config(path)
    with contextlib.suppress(MissingExtraError):  # an optional package that the page says to install
        build_recipe(config.region, config.preprocessing)


@pytest.mark.parametrize("block", with_language("python"), ids=page_name)
def test_python_blocks_compile_and_those_marked_run(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile(block.text, page_name(block), "exec", dont_inherit=True)
    if block.info == "{.run}":
        exec(code, {})


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_keys_that_are_named_exist(page: Path) -> None:
    """``section.key`` in a sentence is a key of the config."""
    sections = "|".join(
        name for name, field in Config.model_fields.items() if hasattr(field.annotation, "model_fields")
    )
    for text in re.findall(rf"`((?:{sections})\.(?!yaml\b)\w+(?:\.\w+)*)", prose(page)):
        model: Any = Config
        for part in text.split("."):
            if not hasattr(model, "model_fields"):
                break  # below a key that holds a mapping, as preprocessing.steps does
            assert part in model.model_fields, text
            model = model.model_fields[part].annotation


def anchors_of(page: Path) -> set[str]:
    """The anchors that a forge makes of headings: lower case, spaces as hyphens, other signs dropped."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_lines_of_prose_are_as_short_as_those_of_code(page: Path) -> None:
    lines = [line for line in prose(page).splitlines() if not line.lstrip().startswith("|")]
    too_long = [
        line for line in lines if len(line) >= 120 and max(map(len, line.split())) < 100
    ]  # addresses may be long
    assert too_long == [], f"run python3 scripts/wrapping.py {page_name(page)}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if link.startswith("http") and not link.startswith(_ONLINE):
            continue
        name, _, anchor = link.partition("#")
        base = REPOSITORY if name.startswith(_ONLINE) else page.parent
        target = (base / name.removeprefix(_ONLINE)).resolve() if name else page
        if target.relative_to(REPOSITORY).as_posix() in _MADE_ELSEWHERE and not target.exists():
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_can_be_reached_from_the_front() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(prose(page)) if not link.startswith("http")]
        targets = {(page.parent / link).resolve() for link in links if link.endswith(".md")}
        waiting += [target for target in targets if target.exists() and target not in reached]
    assert [page_name(page) for page in PAGES if page not in reached] == []


def test_paths_named_in_the_architecture_exist() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:medcls|tests|scripts|configs)/[\w/.-]*)`", page):
        assert (REPOSITORY / name).exists(), name


def test_everything_that_can_be_imported_is_in_the_python_page() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    described = {name for name in medcls.__all__ if re.search(rf"^### `medcls\.{name}[`(]", page, re.MULTILINE)}
    assert described == set(medcls.__all__)
