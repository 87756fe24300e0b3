"""Submission: one config as a job of a cluster that runs elsewhere.

What can be wrong is found here, before anything is sent; the job itself is a command that anyone could have
typed on the head.
"""

from pointlab.submission.order import Options, order_for
from pointlab.submission.reading import place_in
from pointlab.submission.sending import Sent, send
from pointlab.submission.source import ships_package
from pointlab.submission.variables import variables_for

__all__ = ["Options", "Sent", "order_for", "place_in", "send", "ships_package", "variables_for"]
