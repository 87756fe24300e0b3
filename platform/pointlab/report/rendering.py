"""A template becomes a page: one file with its style, its script and plotly.js inside."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs


def render(template: str, **material: object) -> str:
    """The page that a template makes of `material`: all but markup is escaped, and nothing may be missing."""
    environment = Environment(
        loader=PackageLoader("pointlab.report", package_path=""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(plotly=Markup(get_plotlyjs()), **material)
