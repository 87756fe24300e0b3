"""Pickles of lists and arrays, read without ever being executed.

Unpickling runs whatever a file asks for, so a pickle from elsewhere is a program from elsewhere. Here its
operations are interpreted by a small machine that can do nothing but put together lists, dicts, numbers,
short strings and numpy arrays; whatever else a pickle asks for ends in a DataError that names it. Reads
protocols 2 to 5, as Python 2 and 3 and numpy 1 and 2 write them. The bytes of arrays stay in the file, so a
file of gigabytes costs no memory.
"""

from pointlab.data.formats.pickles.arrays import StoredArray, load_array
from pointlab.data.formats.pickles.reading import interpret, read_pickle

__all__ = ["StoredArray", "interpret", "load_array", "read_pickle"]
