"""Tables that users give: read strictly, or refused in one line that names the place."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.errors import CohortError
from medcls.tables import Table, read_table
from medcls.tables.words import same_value, says_nothing, shortened

PLAIN = "case,patient,scan,label\na,p,0.png,ill\nb,q,1.png,well\n"


def read(folder: Path, content: str | bytes) -> Table:
    path = folder / "cases.csv"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return read_table(path, "the table of cases")


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(CohortError) as error:
        read(folder, content)
    line = str(error.value)
    assert "\n" not in line
    assert "Error" not in line
    return line


def test_a_title_with_separators_in_it_is_called_one(tmp_path: Path) -> None:
    assert "cases.csv:2: 4 cells, but the header has 2." in (said := refusal(tmp_path, f"My study, 2024\n{PLAIN}"))
    assert said.endswith("where the first line is a title, remove what stands above the names of the columns")
    assert "is a title" not in refusal(tmp_path, f"{PLAIN}c,r,2.png,ill,1\n")
    error = read(tmp_path, f"My study, 2024,,\n{PLAIN}").no_column("scan", "for data.columns.scan")
    assert "no column 'scan' for data.columns.scan, but line 2 has it. Remove what stands above" in str(error)


def test_cells_come_with_their_lines(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN.replace("b,q", "\n , ,,\nb,q"))
    assert found.header == ("case", "patient", "scan", "label")
    assert found.lines == (2, 5)
    assert found.cells("label") == ("ill", "well")
    assert [line for line, _ in found.mappings()] == [2, 5]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "\ufeff" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        "\ufeffsep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        "sep=,\n" + PLAIN,
        PLAIN.replace("\n", "\r"),
        PLAIN.encode("utf-16"),
        ("\ufeff" + PLAIN).encode("utf-16-be"),
        PLAIN.replace("ill", '"ill"').replace("a,p", 'a, "p"'),
        PLAIN.replace("label", "label ").replace("ill", " ill\u00a0"),
        '"case;one",patient;x,scan,label\n'.replace("case;one", "case").replace("patient;x", "patient")
        + "a,p,0.png,ill\nb,q,1.png,well",
    ],
)
def test_what_spreadsheets_write_is_the_same_table(tmp_path: Path, content: str | bytes) -> None:
    found = read(tmp_path, content)
    assert found.header == ("case", "patient", "scan", "label")
    assert found.rows == (("a", "p", "0.png", "ill"), ("b", "q", "1.png", "well"))


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("scan,label,label", 2, 3),
        ("scan,label, label", 2, 3),
        ("scan,Label,label", 2, 3),
        ("scan,label,x,\ufefflabel", 2, 4),
        ("scan,label,ｌabel", 2, 3),
        ("scan,my label,my  label", 2, 3),
    ],
)
def test_a_column_given_twice_is_refused(tmp_path: Path, header: str, first: int, second: int) -> None:
    line = refusal(tmp_path, f"{header}\n{'x,' * header.count(',')}x\n")
    assert "cases.csv:1" in line
    assert f"columns {first} and {second}" in line


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c,Doe, John,2.png,ill", ["5 cells", "header has 4", "quotes around a cell"]),
        ("c,r,2.png,ill,", ["5 cells"]),
        ("c,r,2.png", ["3 cells", "header has 4"]),
        ('c,r,"2.png,ill', ["quote", "column 3"]),
        ('c,r,"2.png"x,ill', ["after a closing quote"]),
        ('c,"r,2.png,ill\nd,"s",3.png,ill', ["quote"]),
        ('c,"r,2.png,ill\nd,s",3.png,ill', ["joins the lines 4 to 5"]),
        ("c,r,2\0.png,ill", ["zero bytes"]),
        (f'c,r,"{"x" * 140_000}",ill', ["characters"]),
    ],
)
def test_a_row_that_moves_cells_is_refused_with_its_line(tmp_path: Path, row: str, words: list[str]) -> None:
    line = refusal(tmp_path, f"{PLAIN}{row}\ne,t,4.png,well\n")
    assert "cases.csv:4" in line
    for word in words:
        assert word in line


def test_a_remark_of_several_lines_is_a_cell_but_no_value(tmp_path: Path) -> None:
    found = read(tmp_path, 'case,label,remark\na,ill,"old, small\nsee report"\nb,well,\n')
    assert found.lines == (2, 4)
    with pytest.raises(CohortError, match=r"cases.csv:2: a line break in column 'remark'"):
        found.cells("remark")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("case,label\n", "no rows"),
        ("sep=;\n", "no header"),
        (PLAIN.replace("ill", "krank ä").encode("cp1252"), "cases.csv:2: the table of cases is not UTF-8 text"),
        (PLAIN.encode("utf-16")[:-1], "UTF-16"),
        (PLAIN.encode("utf-16-le"), "zero bytes"),
        (PLAIN.encode("utf-32"), "CSV UTF-8"),
        (b"PK\x03\x04rest", "workbook"),
        (b"\xd0\xcf\x11\xe0rest", "workbook"),
        (PLAIN.replace(",", "|"), "separated by '|'"),
        ("a;b,c\n1,2\n", "comma or semicolon"),
        (
            "a;b;c\n1,2,3\n",
            "cases.csv:2: this line is separated by commas, and the header by semicolons. Separate all lines",
        ),
        ("a,b,c\n1,2,3\n4;0,5;6\n", "cases.csv:3: this line is separated by semicolons, and the header by commas"),
        ("a b c\n1 2 3\n", "cases.csv:1: the header is separated by blanks. Separate the columns by commas"),
        ("a b c\n1,2,3\n", "cases.csv:1: the header is separated by blanks"),
        ("My study 2024,,,\na,b,c,d\n1,2,3,4\n", "cases.csv:1: this line has one cell and the next several"),
        ("\nMy own study 2024\n\na;b;c\n1;2;3\n", "cases.csv:2: this line has one cell and the next several"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: str | bytes, words: str) -> None:
    assert words in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["scan\na b.png\n", "scan,\na.png,remark\n", '"my scan"\na b.png\n', ",scan\n0,a b.png\n"]
)
def test_a_table_of_one_named_column_is_one(tmp_path: Path, content: str) -> None:
    assert len(read(tmp_path, content).rows) == 1


def test_a_table_that_no_spreadsheet_holds_is_refused(tmp_path: Path) -> None:
    assert "2000000 columns" in refusal(tmp_path, "x," * 1_999_999 + "x\n" + "1," * 1_999_999 + "1\n")
    assert "characters" in refusal(tmp_path, "case\n" + "x" * (5 * 1024**2))


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_header_that_no_table_has_is_one_line(tmp_path: Path, quote: str, sign: str) -> None:
    line = refusal(tmp_path, f"{quote}{'x' * 140_000}{quote}{sign}label\n1{sign}2\n")
    assert "cases.csv:1: a cell has more than 131,072 characters" in line
    columns = sign.join(f"{quote}column{index}{quote}" for index in range(20_000))
    assert "cases.csv:1: 20000 columns" in refusal(tmp_path, f"{columns}\n1{sign}2\n")
    words = "after a closing quote" if quote else "more than 131,072 characters"
    assert words in refusal(tmp_path, "a,b\n" + '"u",' * 40_000 + f'"x{quote}y\n' + "z" * 140_000)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path, words in (
        (tmp_path / "pipe.csv", "a named pipe"),
        (Path("/dev/zero"), "a device"),
        (tmp_path, "a folder"),
        (tmp_path / "none.csv", "not there"),
        (tmp_path / "none\0.csv", "not there"),
    ):
        with pytest.raises(CohortError, match=words):
            read_table(path)


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Z")), max_size=6)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS).filter(any), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str, end: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    assert list(read(tmp_path_factory.mktemp("table"), text.getvalue()).rows) == rows


@pytest.mark.parametrize(
    "value",
    [
        "NA",
        "n/a",
        "NaN",
        "None",
        "null",
        "NULL",
        "#N/A",
        "?",
        "-",
        "--",
        ".",
        "–",
        "N.A.",
        "<NA>",
        "nan",
        "NaT",
        "#DIV/0!",
    ],
)
def test_words_for_an_empty_cell_are_known(value: str) -> None:
    assert says_nothing(value)


@pytest.mark.parametrize("value", ["", "ill", "no", "normal", "-1", "0", "n", "Nan Li", "Naomi", "A-1"])
def test_values_are_no_words_for_an_empty_cell(value: str) -> None:
    assert not says_nothing(value)


@pytest.mark.parametrize(
    ("values", "same"),
    [
        (["1", "2", "1.0"], ("1", "1.0")),
        (["01", "1"], ("01", "1")),
        (["7", "7,0"], ("7", "7,0")),
        (["100000", "1E5"], ("100000", "1E5")),
        (["true", "True"], ("True", "true")),
        (["Ill", "ill", "well"], ("Ill", "ill")),
        (["a  b", "a b"], ("a  b", "a b")),
        (["ill", "ill\u200b"], ("ill", "ill\u200b")),
        (["1", "10", "2", "-1"], None),
        (["A1", "A2", "A01"], None),
    ],
)
def test_one_value_written_in_two_ways_is_found(values: list[str], same: tuple[str, str] | None) -> None:
    assert same_value(values) == same


def test_a_number_that_a_spreadsheet_cut_is_known() -> None:
    assert shortened("1.23457E+12")
    assert shortened("1,2E+09")
    assert not shortened("12E3")
    assert not shortened("1234567890123")
