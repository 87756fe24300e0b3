"""Reports: self-contained HTML pages, on finished runs and on prepared sets, made from the store alone.

On runs: `collect` reads the store, `cells` groups what studies consist of; `answer`, `study`, `pareto`,
`runs`, `analysis`, `retrieval`, `matching`, `coefficients`, `soups`, `few_shot`, `training_curves`, `trials`,
`gallery`, `results`, `segmentation`, `corruptions` and `mistakes` are the sections of the page, in the
reader's order, and `page` puts them together. On a set: `dataset_sample` reads it, `dataset_plots` and
`frames` draw, and `dataset_page` puts that together.
"""

from pointlab.report.dataset_page import build_dataset_page
from pointlab.report.page import build_report

__all__ = ["build_dataset_page", "build_report"]
