"""The files that tell people how to cite, report, contribute and check say what the project itself says."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from typing import Any

import yaml

import medcls
from tests.conftest import REPOSITORY

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_the_citation_has_the_version_the_licence_and_the_address_of_the_project() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "abstract"} <= citation.keys()
    assert str(citation["version"]) == PROJECT["version"]
    assert f"## [{citation['version']}] - {citation['date-released']}\n" in read("CHANGELOG.md")
    assert medcls.__version__ == metadata.version("medcls")
    assert citation["license"] == PROJECT["license"]
    assert "Apache License" in read("LICENSE")
    assert citation["authors"] == PROJECT["authors"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]


def test_security_names_files_that_exist() -> None:
    named = re.findall(r"`(medcls/[\w/.-]+)`", read("SECURITY.md"))
    assert len(named) > 5
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_workflow_runs_the_tests_with_few_rights_and_known_versions() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    tests = [step for step in steps if "scripts/test" in step.get("run", "")]
    assert [step["run"] for step in tests] == ["scripts/test", "scripts/test --coverage"]
    assert {step["env"]["CI"] for step in tests} == {""}  # with it the real scans would have to be there
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.fullmatch(r"[\w/-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    known = {one.rpartition(" ")[2] for one in PROJECT["classifiers"]}
    assert set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) <= known


def test_what_runs_before_a_commit_is_what_the_tests_run() -> None:
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    pinned = re.search(r"^ruff==(\S+)$", read("scripts/constraints.txt"), re.MULTILINE)
    assert pinned is not None
    assert [one["rev"] for one in hooks if "ruff" in one["repo"]] == [f"v{pinned[1]}"]
    assert {"ruff-check", "ruff-format", "mypy"} <= {hook["id"] for one in hooks for hook in one["hooks"]}


def test_reports_of_bugs_ask_for_the_machine_and_warn_of_patients() -> None:
    form = yaml.safe_load(read(".github/ISSUE_TEMPLATE/bug.yml"))
    required = {one["id"] for one in form["body"] if one.get("validations", {}).get("required")}
    assert {"version", "doctor"} <= required
    assert "Never attach patient data" in form["body"][0]["attributes"]["value"]
