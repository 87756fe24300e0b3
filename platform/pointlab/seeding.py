"""Randomness by name: a generator is a pure function of its key, never of what ran before.

A key such as (seed, epoch, sample_id) gives the same draws whatever the batch order, the number of
workers or the machine. That makes augmentation reproducible and resuming exact: there is no generator
state to save, only the position in the stream.
"""

import hashlib

import numpy as np

Key = int | str


def stable_hash(*parts: Key, digits: int = 16) -> str:
    """Hexadecimal digest of `parts`, equal on every machine and in every process (unlike `hash`)."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=digits // 2).hexdigest()


def stable_integer(*parts: Key) -> int:
    """Non-negative 63-bit integer drawn from `parts`; fits a signed 64-bit tensor."""
    return int(stable_hash(*parts), 16) >> 1


def generator(*key: Key) -> np.random.Generator:
    """Generator whose stream depends on `key` alone (Philox, a counter-based generator)."""
    return np.random.Generator(np.random.Philox(key=int(stable_hash(*key, digits=32), 16)))
