"""Sphinx: how the documentation is built. `make docs` runs it, with warnings as errors."""

import os
import sys
from pathlib import Path
from pydoc import locate

from sphinx.util import logging

import tapegrad

logger = logging.getLogger(__name__)

project = "tapegrad"
author = "The tapegrad authors"
copyright = f"2026, {author}"
version = release = tapegrad.__version__

sys.path.insert(0, str(Path(__file__).parent))
extensions = [
    "cell_pages",  # writes the pages of the cells, before anything is read
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax is copied into the pages: they can be read without a network
]
exclude_patterns = ["_build", "cells/_*"]
nitpicky = True  # a reference that leads nowhere is an error

# ---- notebooks: run at every build, in this environment; an error in one ends the build
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_output_stderr = "error"  # a warning that a reader would see is an error here
nb_merge_streams = True
nb_render_markdown_format = "myst"  # derivations come as Markdown with mathematics in it
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# What the kernels inherit. Figures of all pages look alike.
os.environ["MATPLOTLIBRC"] = str(Path(__file__).parent)

# ---- the reference, from docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give shapes and dtypes, which annotations cannot
autodoc_preserve_defaults = True
napoleon_google_docstring = False
# Types are words about shapes ("array (T, B, ...)"), not names to look up.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
nitpick_ignore_regex = [("py:.*", r"numpy\..*")]  # NumPy's own pages are not fetched

# ---- pages
html_theme = "furo"
html_title = f"tapegrad {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}


# ---- every public name has its place in the reference
def public_names():
    """The full names of what the package and its sub-packages offer."""
    for module in [tapegrad, *(getattr(tapegrad, name) for name in tapegrad._SUBPACKAGES)]:
        for name in getattr(module, "__all__", None) or vars(module):
            value = getattr(module, name)
            if not name.startswith("_") and getattr(value, "__module__", "").startswith("tapegrad"):
                yield f"{module.__name__}.{name}", value


def find_undescribed(app, env):
    described = {id(locate(name)) for name in env.domains.python_domain.objects}
    for name, value in public_names():
        if id(value) not in described:
            logger.warning("%s is public and has no entry in docs/api", name)


def setup(app):
    app.connect("env-check-consistency", find_undescribed)
