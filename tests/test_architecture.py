"""The order of the rooms, what each may import, and what no module may do, as the source itself says."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from medcls import errors
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "medcls"
GROUND = (
    "errors",
    "bounded",
    "names",
    "nearest",
    "display",
    "leftovers",
    "files",
    "tables",
    "wire",
    "offspring",
    "progress",
    "privacy",
    "plugins",
    "values",
    "config",
)
ORDER = (
    *GROUND,
    "evaluation",
    "scans",
    "synthesis",
    "cohort",
    "preprocessing",
    "planning",
    "loading",
    "networks",
    "explanation",
    "training",
    "pretraining",
    "classifier",
    "reporting",
    "runs",
    "scores",
    "workflows",
    "api",
    "estimator",
    "__init__",
    "cli",
    "__main__",
)
ON_GROUND_ALONE = ("evaluation", "scans", "synthesis", "networks", "reporting")
HEAVY = {"torch", "monai", "lightning", "sklearn", "pandas", "matplotlib", "skimage", "torchvision", "tensorboard"}
WITHOUT_HEAVY = (*GROUND, "evaluation", "scans", "synthesis", "cohort", "scores")
LIGHT_AT_IMPORT = ("__init__", "__main__", "cli", "preprocessing", "reporting")
MODULES = sorted(PACKAGE.rglob("*.py"))
CATALOGUES = {
    "explanation/methods",
    "networks/families",
    "preprocessing/steps",
    "evaluation/metrics",
    "evaluation/partition/sections",
}
SMALL = {  # modules of under 40 lines that one other imports, and why each stands alone
    "medcls.cohort.leakage.mixtures": "a kind of warning of its own",
    "medcls.config.sections.plan": "settings of one section",
    "medcls.config.sections.store": "settings of one section",
    "medcls.explanation.pointing": "the measure of explanations",
    "medcls.networks.heads.head": "the protocol",
    "medcls.networks.heads.mean_linear": "one of the heads",
    "medcls.reporting.charts.comparison": "one of the charts",
    "medcls.reporting.text.config_text": "what keeps paths out of pages",
    "medcls.scans.probe.readers": "what a worker imports",
}
"""Folders of like things, which may hold many."""
RUNS_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def imported(node: ast.AST) -> Iterator[str]:
    """Full names of the modules that a node imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        if node.module == "medcls":
            yield from (f"medcls.{alias.name}" for alias in node.names)
        elif node.module is not None:
            yield node.module


def imports_of(path: Path) -> set[str]:
    """Everything a module imports, in functions and for type checkers too."""
    return {name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in imported(node)}


def rooms_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports_of(path))
    return {parts[1] if len(parts) > 1 else "__init__" for parts in names if parts[0] == "medcls"} - {room_of(path)}


def imported_at_once(statements: list[ast.stmt]) -> Iterator[str]:
    """Top packages that importing a module imports: not what stands in functions, or is for type checkers."""
    for statement in statements:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from imported_at_once(statement.orelse)
        elif isinstance(statement, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from imported_at_once(
                [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
            )
        else:
            yield from (name.partition(".")[0] for name in imported(statement))


def names_imported(path: Path) -> set[str]:
    """Modules of the package that a module imports, lazily and for type checkers too, by their dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in DOTTED else node.module for name in inner}
    return found & set(DOTTED)


def dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


DOTTED = {dotted(path): path for path in MODULES}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: names_imported(path) - {name} for name, path in DOTTED.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_shelves_of_a_room_lean_on_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        for other in names_imported(path):
            shelf, its = path.parent.as_posix(), DOTTED[other].parent.as_posix()
            doors = "__init__.py" in (path.name, DOTTED[other].name)
            if not doors and not (shelf + "/").startswith(its + "/") and not (its + "/").startswith(shelf + "/"):
                graph.setdefault(shelf, set()).add(its)
    TopologicalSorter(graph).prepare()


def test_no_folder_is_a_flat_bag() -> None:
    count = Counter(path.parent.relative_to(PACKAGE).as_posix() for path in MODULES)
    assert {name for name, files in count.items() if files > 17} <= CATALOGUES


def test_a_small_module_with_one_reader_has_a_reason() -> None:
    importers = Counter(other for path in DOTTED.values() for other in names_imported(path) if dotted(path) != other)
    small = {
        name
        for name, path in DOTTED.items()
        if not path.name.startswith("__") and path.parent.relative_to(PACKAGE).as_posix() not in CATALOGUES
        if importers[name] < 2 and len(path.read_text(encoding="utf-8").splitlines()) < 40
    }
    assert small == SMALL.keys()


def test_every_module_lies_in_a_room() -> None:
    assert {room_of(path) for path in MODULES} == set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    allowed = set(GROUND if room in ON_GROUND_ALONE else ORDER) & set(ORDER[: ORDER.index(room)])
    allowed |= {"evaluation"} if room == "reporting" else set()  # the table of metrics
    wrong = {name_of(path): rooms_imported(path) - allowed for path in MODULES if room_of(path) == room}
    assert {name: rooms for name, rooms in wrong.items() if rooms} == {}


def test_nobody_imports_the_command_line() -> None:
    importers = {name_of(path) for path in MODULES if "cli" in rooms_imported(path)}
    assert importers == {"medcls/__main__.py"}


@pytest.mark.parametrize("room", WITHOUT_HEAVY)
def test_rooms_that_never_import_anything_heavy(room: str) -> None:
    used = {
        name_of(path): {name.partition(".")[0] for name in imports_of(path)} & HEAVY
        for path in MODULES
        if room_of(path) == room
    }
    assert {name: heavy for name, heavy in used.items() if heavy} == {}


@pytest.mark.parametrize("room", LIGHT_AT_IMPORT)
def test_rooms_whose_import_costs_nothing_heavy(room: str) -> None:
    used = {
        name_of(path): set(imported_at_once(ast.parse(path.read_text(encoding="utf-8")).body)) & HEAVY
        for path in MODULES
        if room_of(path) == room
    }
    assert {name: heavy for name, heavy in used.items() if heavy} == {}


def test_scores_are_evaluated_without_torch() -> None:
    modules = sorted(name for name in DOTTED if name.startswith("medcls.scores"))
    code = f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\n"
    code += "sys.exit(' '.join({'torch', 'monai', 'lightning'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_test_imports_another() -> None:
    for path in sorted((REPOSITORY / "tests").rglob("*.py")):
        others = {name for name in imports_of(path) if name.startswith("tests") and ".test_" in f".{name}"}
        assert not others, f"{path.name}: {others}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_can_run_data(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports_of(path)} & RUNS_DATA
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {one.arg: ast.unparse(one.value) for one in node.keywords}
        assert called not in {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load"}
        assert called != "torch.load" or given.get("weights_only") == "True"
        assert given.get("allow_pickle", "False") == "False"


OURS = {name for name in dir(errors) if isinstance(getattr(errors, name), type)}
IN_WORDS = {  # whose caught errors carry words of ours
    "medcls/cli/storing.py",
    "medcls/preprocessing/recipes/build.py",
    "medcls/scans/dicom/values/rescale.py",
    "medcls/scans/dicom/values/suv.py",
    "medcls/tables/table.py",  # looks only what it is
    "medcls/config/yaml_values.py",  # the same
}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_message_quotes_an_error_of_python(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__"):
            of = ast.unparse(node.value)
            assert not of.startswith("type(") or name_of(path) in ("medcls/cli/usage.py", "medcls/estimator.py"), of
        if not isinstance(node, ast.ExceptHandler) or node.name is None or name_of(path) in IN_WORDS:
            continue
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and one.id == node.name:
                user = parents[one]
                shown = isinstance(user, ast.FormattedValue) or (
                    isinstance(user, ast.Call) and ast.unparse(user.func) in {"str", "repr", "format", "type", "print"}
                )
                compared = isinstance(parents.get(user), ast.Compare)  # which kind it is, and not shown
                of_ours = ast.unparse(node.type or node) in OURS
                assert not shown or compared or of_ours, f"{path}:{one.lineno}: {ast.unparse(user)}"


def test_near_names_are_found_in_one_way() -> None:
    assert [name_of(path) for path in MODULES if "difflib" in imports_of(path)] == ["medcls/nearest.py"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_one_concept(path: Path) -> None:
    assert path.name != "utils.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_architecture_page_has_the_rooms_in_their_order() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The nouns")[0]
    rooms = [room for room in ORDER if not room.startswith("__")]
    places = [table.find(f"`{room}`", table.find("| Room |")) for room in rooms]
    assert -1 not in places
    assert places == sorted(places)
