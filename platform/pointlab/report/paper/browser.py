"""The browser of this machine that figures are drawn with: one that is installed, none is ever downloaded."""

import os
import shutil

from pointlab.errors import PointlabError

VARIABLE = "BROWSER_PATH"
"""Where a browser lies that has another name, as kaleido's own variable tells it."""
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)


def find_browser(search_path: str | None = None) -> str:
    """The path of a Chromium or a relative of it, looked for on `search_path` (default: PATH).

    Raises PointlabError where there is none.
    """
    named = [os.environ[VARIABLE]] if os.environ.get(VARIABLE) else list(BROWSERS)
    for name in named:
        found = shutil.which(name, path=search_path)
        if found:
            return found
    raise PointlabError(
        f"No browser was found to draw with, under the {'name' if len(named) == 1 else 'names'}"
        f" {', '.join(named)}.",
        expected="an installed Chromium, Chrome or Edge",
        remedy=f"install one, such as with `apt-get install chromium`, or set {VARIABLE} to its path",
    )
