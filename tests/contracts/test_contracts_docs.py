"""What the documents say about the code is generated from it, and up to date."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "generate_docs.py"


@pytest.fixture
def generate_docs(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("generate_docs")


def test_the_generated_documents_are_up_to_date(tmp_path):
    command = [sys.executable, SCRIPT, "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_document_that_is_out_of_date_is_shown_line_by_line(generate_docs):
    wanted = generate_docs.data_dictionary().replace("| `slug` |", "| `slugs` |")

    found = generate_docs.difference(generate_docs.DICTIONARY, wanted)

    assert "-| `slug` |" in found
    assert "+| `slugs` |" in found


def test_a_readme_without_a_marker_is_refused(generate_docs):
    with pytest.raises(LookupError, match="<!-- generated: tables -->"):
        generate_docs.with_sections("# headhunter\n")


def test_only_what_stands_between_the_markers_is_written_anew(generate_docs, monkeypatch):
    monkeypatch.setattr(generate_docs, "SECTIONS", {"tables": lambda: "new", "settings": lambda: "new too"})
    readme = "a\n<!-- generated: tables -->\nold\n<!-- end -->\nb\n<!-- generated: settings -->\n<!-- end -->\nc\n"

    assert generate_docs.with_sections(readme) == (
        "a\n<!-- generated: tables -->\nnew\n<!-- end -->\nb\n<!-- generated: settings -->\nnew too\n<!-- end -->\nc\n"
    )
