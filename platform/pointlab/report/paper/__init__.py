"""Figures and tables for a paper: what a page shows, as SVG and PDF, CSV and LaTeX."""

from pointlab.report.paper.folder import write_paper

__all__ = ["write_paper"]
