"""How Sphinx builds the documentation; `make docs` calls it."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]  # the extensions beside this file; benchmarks

import lrrec  # noqa: E402

project = "lrrec"
author = "The lrrec founders"
copyright = "The lrrec founders. MIT licence"
release = lrrec.__version__
version = release.partition(".dev")[0]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "mathml",
    "repository_links",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "gallery"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "py:obj"
smartquotes = False  # quotes in docstrings are Python's
nitpicky = False  # the default role marks code of any kind, too
suppress_warnings = ["config.cache"]

if os.environ.get("LRREC_DOCS_ONLINE"):  # links to others' references, whose inventories are fetched
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_mock_imports = ["pyspark"]  # for the reference of lrrec.spark alone
autodoc_typehints = "none"  # docstrings give types in words
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": "/",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "image_srcset": ["2x"],
    "matplotlib_animations": False,
    "capture_repr": ("_repr_html_",),
    "doc_module": ("lrrec",),
    "backreferences_dir": "auto_gallery/backreferences",
    "write_computation_times": False,
}

html_context = {"default_mode": "auto"}
html_theme = "pydata_sphinx_theme"
html_title = "lrrec"
html_static_path = ["_static"]
html_favicon = "_static/lrrec.svg"
html_css_files = ["lrrec.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
ALONE = ("index", "start", "install", "which-model", "benchmarks", "changelog", "datasets", "glossary")  # no section
html_sidebars: dict[str, list[str]] = {page: [] for page in ALONE}
