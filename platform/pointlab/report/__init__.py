"""Reports: one self-contained HTML page on some finished runs, made from their records alone.

`collect` reads the store; `answer`, `runs`, `coefficients`, `training_curves`, `trials`, `gallery` and
`results` are the sections of the page, in the reader's order, and `page` puts them together.
"""

from pointlab.report.page import build_report

__all__ = ["build_report"]
