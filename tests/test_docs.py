"""What the documents say exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "ARCHITECTURE.md", *ROOT.glob("*/README.md"), *ROOT.glob("adapters/*/README.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    names = re.findall(r"`?(tests/[\w/]+\.py)(?:::(\w+))?", document.read_text())
    assert names or document.name != "ARCHITECTURE.md"
    for file, function in names:
        path = ROOT / file
        assert path.is_file(), f"{document.name} names {file}, which does not exist"
        if function:
            assert re.search(rf"def {function}\(", path.read_text()), f"{document.name} names {file}::{function}"


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "README.md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_code_map_names_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    section = text[text.index("## Code map") : text.index("## Life of an event")]
    for heading, body in re.findall(r"### `(\w+)/`[^\n]*\n(.*?)(?=\n### |\Z)", section, flags=re.DOTALL):
        for name in re.findall(r"`(\w+\.py)`", body):
            found = list((ROOT / heading).rglob(name))
            assert found, f"{heading}/ has no {name}"
