"""What a search tries, keeps and chooses, without Ray.

`experiment` is its configuration, of `space` and `settings`; `sampling` proposes, `trial_queue` hands out
what `trials` keeps, `trial_runs` are what a trial consists of, and `findings` chooses and tabulates.
"""

from pointlab.experiment.search.experiment import SearchExperiment, make_trial

__all__ = ["SearchExperiment", "make_trial"]
