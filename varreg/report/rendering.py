"""Pages from the templates of varreg: text that needs no other file."""

from __future__ import annotations

from importlib import resources
from typing import Any

from markupsafe import Markup

from .. import __version__


def rendered(template: str, **values: Any) -> str:
    """A page as text.

    Parameters
    ----------
    template : str
        Name of the file.
    **values
        What it names, besides the style sheet and the version.  Text is escaped.
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
    """The text of a file of varreg; it stands in the page as it is."""
    return (resources.files("varreg.report") / "templates" / name).read_text("utf-8")
