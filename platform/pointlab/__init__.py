"""pointlab: which pretraining should a point-cloud model start from, and will it hold under shift?"""

__version__ = "0.1.0"
