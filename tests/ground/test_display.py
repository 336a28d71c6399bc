"""What came from data steers no reader's terminal, page or picture, whichever way it gets there."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medcls.cli.exits import exiting
from medcls.cli.screen import say, say_json
from medcls.display import INSTEAD, escaped, json_shown, one_line, printable
from medcls.errors import UsageError
from medcls.progress import Progress
from medcls.reporting.charts.plots import class_balance
from medcls.reporting.content import CohortFlow, ExplainedCase, PartitionCounts, ReasonCount
from medcls.reporting.report import render_report
from medcls.reporting.text.plain_markdown import plain, table
from medcls.values.caution import note
from tests.conftest import REPOSITORY
from tests.factories.pages import PNG, content

STEERING = {
    "colour": "\x1b[31m",
    "clear": "\x1b[2J",
    "title": "\x1b]0;x\x07",
    "link": "\x1b]8;;http://evil\x1b\\",
    "C1": "\x9b31m",
    "bell": "\x07",
    "return": "\r",
    "backspace": "\b",
    "delete": "\x7f",
    "NUL": "\0",
    "right to left": "\u202e",
    "isolate": "\u2066",
    "zero width": "\u200b",
    "joiner": "\u2060",
    "mark": "\ufeff",
    "line": "\u2028",
    "next line": "\x85",
    "tag": "\U000e0041",
    "half": "\udcff",
}
EVIL = "ill" + "".join(STEERING.values()) + "[red]$x$"
CLEAN = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]*"
)


@pytest.mark.parametrize("kind", STEERING)
def test_each_such_sign_is_replaced(kind: str) -> None:
    assert CLEAN.fullmatch(one_line(STEERING[kind]))
    assert CLEAN.fullmatch(escaped(STEERING[kind]))
    assert one_line(f"a{STEERING[kind]}b").startswith(f"a{INSTEAD}")


def test_what_people_write_stays() -> None:
    for text in ("Entzündung", "炎症", "التهاب", "95\u00a0%", "🫁", "a–b…", "x\n\ny"):
        assert printable(text) == text
    assert one_line("a\nb") == f"a{INSTEAD}b"


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@example(EVIL)
def test_json_on_the_screen_means_the_same_and_steers_nothing(value: object) -> None:
    text = json_shown(value)
    assert json.loads(text) == value
    assert CLEAN.fullmatch(text.replace("\n", ""))


def test_no_module_has_a_way_of_its_own_to_the_terminal() -> None:
    ways = re.compile(r"(typer|click)\.(echo|secho)|print|sys\.(stdout|stderr)\.write")
    found = {
        path.relative_to(REPOSITORY / "medcls").as_posix()
        for path in (REPOSITORY / "medcls").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ways.fullmatch(ast.unparse(node.func))
    }
    assert found == {"cli/screen.py", "cli/app.py", "cli/stopping.py", "progress.py"}


def test_the_terminal_is_not_steered(capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> int:
        say(EVIL)
        say_json({EVIL: [EVIL]})
        raise UsageError(EVIL, where=EVIL, remedy=EVIL * 1000)

    with pytest.raises(BaseException) as ended:
        exiting(verb)()
    out, err = capsys.readouterr()
    assert ended.typename == "Exit"
    assert CLEAN.fullmatch(out.replace("\n", ""))
    assert CLEAN.fullmatch(err.replace("\n", ""))
    assert err.count("\n") == 1
    assert len(err) < 5000


def test_notes_of_long_work_are_not_steered() -> None:
    stream = io.StringIO()
    Progress(stream=stream).note(EVIL + "\n" + EVIL)
    assert CLEAN.fullmatch(stream.getvalue().removesuffix("\n"))


def test_neither_report_nor_its_charts_nor_markdown_holds_such_a_sign() -> None:
    flow = CohortFlow(40, (ReasonCount(EVIL, EVIL, 1),), (PartitionCounts(EVIL, 40, 40, {EVIL: 3}),))
    evil = content(
        ("normal", EVIL),
        EVIL,
        title=EVIL,
        region=EVIL,
        created=EVIL,
        cohort=flow,
        explanations=(ExplainedCase(PNG, EVIL, "true positive"),),
        classifier={EVIL: EVIL},
        config_text=EVIL,
        environment={EVIL: EVIL},
        warnings=note("evil", EVIL),
    )
    html = render_report(evil)
    assert CLEAN.fullmatch(html.replace("\n", ""))
    assert one_line(EVIL) in html
    charts = [
        base64.b64decode(one).decode("utf-8") for one in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", html)
    ]
    assert len(charts) > 2
    assert all(CLEAN.fullmatch(chart.replace("\n", "")) for chart in charts)
    assert CLEAN.fullmatch(plain(EVIL))
    assert CLEAN.fullmatch("".join(table(("A",), ((EVIL,),))))


def test_a_chart_of_labels_that_begin_with_a_dash_still_names_them() -> None:
    chart = class_balance(CohortFlow(2, (), (PartitionCounts("test", 2, 2, {"_a": 1, "b": 1}),)), ("_a", "b"))
    assert chart is not None
    assert "_a" in base64.b64decode(chart.source.partition(",")[2]).decode("utf-8")


def test_a_file_of_text_can_always_be_written(tmp_path: Path) -> None:
    from medcls.files import write_text

    write_text(tmp_path / "a.md", "x\udcff")
    assert (tmp_path / "a.md").read_bytes() == b"x\\udcff"
