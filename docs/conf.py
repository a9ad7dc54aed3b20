"""Sphinx settings. Reference pages are written from the code at each build, so that they cannot be behind it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 - it stands beside this file

generate.write_all(HERE / "reference" / "generated")

project = "Clacks"
release = version = version_of("clacks")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Clacks {release}"
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
default_role = "code"
nitpicky = False
