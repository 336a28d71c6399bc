"""What is added to medcls itself takes the files that docs/how-to/extend.md counts: shown on a copy of the package.

Networks, formats, steps and metrics are added by packages; their tests are those of their rooms.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "medcls"

RAREST = {
    "values/documents/sections.py": {
        "class Sections(TypedDict):": '''class Rarest(TypedDict):
    """The label of the fewest cases."""

    label: str
    share: float


''',
        "\n\nSECTIONS = ": "    rarest: NotRequired[Rarest]\n",
    },
    "evaluation/partition/sections/rarest.py": {
        "": """from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import SHARE, TEXT, Schema, closed


def _schema() -> Schema:
    return closed({"label": TEXT, "share": SHARE})


def _evaluate(given: EvaluationInput) -> Document:
    shares = given.predictions.reference.mean(axis=0)
    return {"label": given.predictions.labels[shares.argmin()], "share": float(shares.min())}


SECTION = Section("rarest", _schema, _evaluate)
"""
    },
    "reporting/sections/rarest.py": {
        "": """from medcls.reporting.blocks import Block, Section
from medcls.reporting.text.numbers import percent
from medcls.values import documents


def section(metrics: documents.Partition) -> Section:
    found = metrics["rarest"]
    text = f"Rarest is {found['label']}: {percent(found['share'])} % of the cases."
    return Section("rarest", "What is rare here?", "Rarest", (Block(text=(text,)),))
"""
    },
}
EVALUATED = """
import json
from jsonschema import validate
from medcls.evaluation import metrics_schema
from medcls.reporting import CohortFlow, ReportContent, render_report
from medcls.values.label_space import LabelSpace
from tests.factories.evaluations import studied

metrics = {"test": studied()}
validate(metrics, metrics_schema())
space = LabelSpace(("well", "sick"), "sick")
content = ReportContent(title="", created="", space=space, region="lung", cohort=CohortFlow(0), metrics=metrics)
page = render_report(content)
print(json.dumps([metrics["test"]["rarest"], page[page.index('id="failures"') :]]))
"""

TALLY = {
    "workflows/commands/tally.py": {
        "": """from collections import Counter
from pathlib import Path

from medcls.errors import UsageError


def tally(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder))
    return dict(Counter(path.suffix for path in folder.iterdir()))
"""
    },
    "cli/commands.py": {
        "VERBS: ": '''def tally(
    folder: Annotated[Path, typer.Argument(help="A folder.", metavar="FOLDER")],
    json: Json = False,
) -> int:
    """Count the files of each kind."""
    from medcls.cli.screen import say, say_json
    from medcls.workflows.commands.tally import tally as count

    found = count(folder)
    say_json(found) if json else say(str(found))
    return 0


''',
        '}\n"""Every verb': '    tally: ("medcls tally export/",),\n',
    },
}


def add(folder: Path, what: Mapping[str, Mapping[str, str]]) -> None:
    """Make a copy of the package, and put each text before the words that it is under; a file of its own is new."""
    package = Path(shutil.copytree(PACKAGE, folder / "medcls"))
    for name, texts in what.items():
        assert (package / name).exists() is ("" not in texts)
        source = "" if "" in texts else (package / name).read_text(encoding="utf-8")
        for words, text in texts.items():
            assert not words or source.count(words) == 1
            source = source.replace(words, text + words, 1)
        (package / name).write_text(source, encoding="utf-8")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (folder, REPOSITORY)))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def files_said_for(what: str) -> int:
    """How many files the page says that something takes."""
    page = (REPOSITORY / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
    return next(int(line.split("|")[2]) for line in page.splitlines() if line.startswith(f"| {what} |"))


def test_a_section_of_the_report_is_three_files_and_its_test(tmp_path: Path) -> None:
    add(tmp_path, RAREST)
    done = python(tmp_path, "-c", EVALUATED)
    assert done.returncode == 0, done.stderr
    document, page = json.loads(done.stdout)
    assert document == {"label": "sick", "share": pytest.approx(1 / 3)}
    assert "Rarest is sick: 33" in page
    assert len(RAREST) + 1 == files_said_for("a section of the report") == 4


def test_a_verb_is_two_files_beside_its_test_its_page_and_its_name_in_python(tmp_path: Path) -> None:
    add(tmp_path, TALLY)
    done = python(tmp_path, "-m", "medcls", "tally", "medcls/api.py")
    assert (done.returncode, done.stderr) == (2, "medcls: medcls/api.py: there is no such folder\n")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "one.dcm").touch()
    done = python(tmp_path, "-m", "medcls", "tally", "export", "--json")
    assert json.loads(done.stdout) == {".dcm": 1}
    assert "Count the files of each kind." in python(tmp_path, "-m", "medcls", "--help").stdout
    assert len(TALLY) + 3 == files_said_for("a verb") == 5
