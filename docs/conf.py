"""Sphinx configuration.  Build: python -m sphinx -W -n docs docs/_build"""

import re
from importlib.metadata import version as installed_version
from importlib.resources import files

from sphinx_gallery.sorting import ExplicitOrder

project = "varreg"
author = "The varreg authors"
copyright = "the varreg authors"
release = version = installed_version("varreg")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
# every example runs and shows its figures; one that fails fails the build
GALLERY = (
    "two_slices",
    "different_grids",
    "ct_to_mr_template",
    "stain_to_stain",
    "slides_at_full_size",
    "masks_and_lesions",
    "rigid_structures",
    "several_contrasts",
    "epi_distortion",
    "points_as_guides",
    "labels_and_points",
    "series",
    "train_a_network",
    "train_on_own_data",
    "network_then_solver",
    "cohort",
    "template",
    "atlas_labels",
)
sphinx_gallery_conf = {
    "within_subsection_order": ExplicitOrder([f"plot_{name}.py" for name in GALLERY]),
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "abort_on_example_error": True,
    "show_memory": False,
    "write_computation_times": False,  # that page loads scripts from other servers
    "plot_gallery": True,
}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"varreg {release}"

# Formulas need no network: one file of MathJax, which draws them as SVG and needs no fonts, is copied into the pages.
html_static_path = [
    str(files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"),
    "equations.css",
]
html_css_files = ["equations.css"]
mathjax_path = "tex-svg.js"

# Markdown: mathematics between dollars, links to headings, equation labels
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

# API: tables at the top of each page lead to entries on the same page; numpydoc docstrings state types in words, shapes and units, so signatures stay short
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Names of other packages are not resolved, so that the build needs no network; helpers that
# docstrings mention but that are not part of the API have no page.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"varreg\.(geometry|backends|images|similarity|stages|initial|checks|io|data\.phantom\.\w+)(\..*)?",
    ),
    (r"py:.*", r"varreg\.transforms\.inverse\.invert"),
    (
        r"py:.*",
        r"learned\.(weights|run_folder|data|inverse|passes|descent_net|energy_channels)(\..*)?",
    ),
    (r"py:.*", r"(numpy|np|nibabel|scipy|numba|os|pathlib|collections|enum|typing|types)(\..*)?"),
    (r"py:.*", r"(ValueError|OSError|ImportError|ArithmeticError|Exception|Enum|tuple|NamedTuple)"),
]


def escape_stars(app, what, name, obj, options, lines):
    """Docstrings write array shapes like (d, *S); to reStructuredText a star begins emphasis."""
    pattern = re.compile(r"``.*?``|(?<=[(\s])\*(?=\w+[),])")
    for i, line in enumerate(lines):
        lines[i] = pattern.sub(lambda m: m[0] if m[0] != "*" else r"\*", line)


def compile_kernels(app):
    """Register two small pairs before the first example runs, so that no example shows the seconds of compiling kernels."""
    if str(app.config.plot_gallery).lower() in ("0", "false"):
        return
    import numpy as np

    import learned
    import varreg
    from varreg.data.phantom import deformed_pair

    for shape in ((64, 64), (40, 40, 40)):
        pair = deformed_pair(shape, np.random.default_rng(0))
        masks = {"fixed_mask": np.ones(shape, bool), "moving_mask": np.ones(shape, bool)}
        for settings in ({}, masks):
            result = varreg.solve(pair.moving, pair.fixed, deformable=True, **settings)
        varreg.certify(pair.moving, pair.fixed, result)
        result.points(np.zeros((1, len(shape))))
        learned.predict(pair.moving, pair.fixed)


def setup(app):
    app.connect("builder-inited", compile_kernels, priority=100)  # before the gallery's 500
    app.connect("autodoc-process-docstring", escape_stars, priority=100)  # before numpydoc
