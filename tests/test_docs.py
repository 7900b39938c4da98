"""What docs/ shows is so: its exports of the demo's output are made, and the lines that load them run."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from amass_joints import cli_export, demo

DOCS = Path(__file__).parents[1] / "docs"

PAGES = sorted(page.name for page in DOCS.glob("*.md"))

NEEDS = {"hdf5.md": "h5py", "zarr.md": "zarr", "parquet.md": "pyarrow", "pytorch.md": "torch"}
"""The library that a page is about."""

app = typer.Typer()
app.command()(cli_export.export)
app.command()(cli_export.project)


@pytest.fixture(scope="module")
def demo_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the demo's ``joints/``, where ``export/`` is to be."""
    directory = tmp_path_factory.mktemp("demo") / "demo"
    demo.run(directory)
    return directory


def commands(page: str) -> list[list[str]]:
    """Give the commands on a page that export the demo's output to where it says."""
    lines = re.sub(r"\\\n\s*", "", (DOCS / page).read_text(encoding="utf-8")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("    amass-joints ")]
    return [
        some[1:]
        for some in words
        if some[1:3] in (["export", "joints"], ["project", "joints"]) and any(one.startswith("export/") for one in some)
    ]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page: str, demo_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    monkeypatch.chdir(demo_directory)
    for command in commands(page):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    for block in blocks(page):
        exec(compile(block, page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("format", [one.value for one in cli_export.ExportFormat])
def test_each_format_has_a_page_that_loads_it(format: str) -> None:
    page = f"{format}.md"
    assert any(command[:4] == ["export", "joints", "--format", format] for command in commands(page))
    assert any(f'"export/{format}' in block for block in blocks(page))
    assert "https://" in (DOCS / page).read_text(encoding="utf-8")
    assert "ot tried" in (DOCS / page).read_text(encoding="utf-8")


def test_pages_link_to_pages_that_are_there() -> None:
    links = {
        link for page in PAGES for link in re.findall(r"\]\(([\w.-]+)\)", (DOCS / page).read_text(encoding="utf-8"))
    }
    assert links
    assert [link for link in sorted(links) if not (DOCS / link).is_file()] == []
