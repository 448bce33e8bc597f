"""Configuration of the documentation site: ``python -m sphinx -W docs docs/_build/html``."""

from importlib import import_module
from pathlib import Path

import disac

project = "disac"
author = "The disac developers"
version = release = disac.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_click",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_tutorials/*.ipynb", "tutorials/*", "**sg_execution_times.rst"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
root_doc = "index"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_validation_checks = set()

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "disac"
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}
copyright = "the disac developers, BSD-3-Clause"


def write_api_pages(app):
    """List every public name of each package, so that autosummary makes a page of it."""
    lines = ["# API", "", "Every public name, by the package from which it is imported.", ""]
    for package in ("simulator", "designs", "estimators", "experiments", "testing"):
        module = import_module(f"disac.{package}")
        names = sorted(module.__all__, key=str.lower)
        if not names:
            continue
        lines += [f"## disac.{package}", "", (module.__doc__ or "").strip().splitlines()[0], ""]
        lines += [
            "```{eval-rst}",
            f".. currentmodule:: disac.{package}",
            "",
            ".. autosummary::",
            "   :toctree: api",
            "",
        ]
        lines += [*(f"   {name}" for name in names), "```", ""]
    page = Path(app.srcdir) / "reference" / "api.md"
    text = "\n".join(lines)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def escape_bars(app, what, name, obj, options, lines):
    """Let |x|^2 in a docstring be a magnitude, not the substitution that it is in reStructuredText."""
    for number, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[number] = "``".join(parts)


def setup(app):
    """Sphinx calls this."""
    write_api_pages(app)
    app.connect("autodoc-process-docstring", escape_bars)
