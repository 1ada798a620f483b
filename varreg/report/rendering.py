"""Rendering of the package's templates to self-contained pages."""

from __future__ import annotations

from importlib import resources
from typing import Any

from markupsafe import Markup

from .. import __version__


def rendered(template: str, **values: Any) -> str:
    """Render a template to text.

    Parameters
    ----------
    template : str
        Name of the template file.
    **values
        Template variables, besides style sheet and version.  Text is escaped.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("varreg.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup(own_text("report.css"))
    page = environment.get_template(template)
    return page.render(style=style, version=__version__, **values)


def own_text(name: str) -> str:
    """The text of a package file, inserted into the page unchanged."""
    return (resources.files("varreg.report") / "templates" / name).read_text("utf-8")
