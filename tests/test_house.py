"""The house rules that no other tool looks after."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [path for path in (ROOT / "src").rglob("*.py") if "versions" not in path.parts]

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 70


def locked(name: str) -> dict[str, str]:
    """The versions that a lock file pins."""
    found = re.findall(r"^([\w.-]+)==([\w.!+-]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def wanted(*groups: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for: to run, and for these groups."""
    asked = [*PROJECT["project"]["dependencies"]]
    for group in groups:
        asked += PROJECT["dependency-groups"][group]
    return map(Requirement, asked)


@pytest.mark.parametrize(
    ("lock", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_the_lock_has_what_the_project_asks_for(lock: str, groups: list[str]) -> None:
    versions = locked(lock)
    for requirement in wanted(*groups):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: run make lock"
        assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: run make lock"


def test_both_locks_agree() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_locks_name_no_place_to_download_from() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_in_the_documents_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_every_provider_is_known_to_app_alone() -> None:
    [contract] = [
        entry
        for entry in PROJECT["tool"]["importlinter"]["contracts"]
        if entry["name"] == "Only app names concrete providers"
    ]
    folder = ROOT / "src" / "forebay" / "compute"
    providers = {
        f"forebay.compute.{path.stem}"
        for path in folder.iterdir()
        if path.stem not in ("__init__", "base", "logs", "__pycache__")
    }
    assert providers == set(contract["protected_modules"])


def test_no_file_needs_a_table_of_contents() -> None:
    full = {str(path): lines for path in SOURCES if (lines := path.read_text().count("\n")) > MOST_LINES_OF_A_FILE}
    assert not full, "which noun is missing?"


def test_functions_fit_on_a_screen() -> None:
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not long
