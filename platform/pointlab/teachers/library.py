"""The one place where `transformers` is imported: when a network is asked for, and without its chatter.

Importing it takes seconds, and most experiments need none of it. What it says while it loads (which keys a
smaller network left out, a bar for some milliseconds) is checked where it matters, and then said by us.
"""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet_transformers() -> Iterator[Any]:
    """The library, silent but for errors inside the block."""
    import transformers

    logging: Any = transformers.utils.logging
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
