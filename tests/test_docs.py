"""The Python examples of the documentation run as they stand."""

import re
from pathlib import Path

import pytest

from disac.designs import design_names, registry

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("precoders.md", "python.md")


@pytest.fixture
def forgotten():
    """Designs that an example registers are gone after it."""
    before = set(design_names())
    yield
    for name in set(design_names()) - before:
        del registry._designs._entries[name]


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    known = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, f"{page}", "exec"), known)
