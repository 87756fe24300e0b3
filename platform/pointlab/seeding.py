"""Randomness by name: a generator is a pure function of its key, never of what ran before.

A key such as (seed, epoch, sample_id) gives the same draws whatever the batch order, the number of
workers or the machine. That makes augmentation reproducible and resuming exact: there is no generator
state to save, only the position in the stream.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64, UInt64

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


@dataclass(frozen=True)
class KeyedDraws:
    """Random numbers for many keys at once, as for all clouds of a batch: a row depends on its key alone.

    A row is the stream of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", OOPSLA
    2014) from a hash of its key. Draws for different purposes are independent, so one more of one kind does
    not move the others. Making a generator for each key instead takes longer than to use it.
    """

    roots: UInt64[np.ndarray, " keys"]

    @classmethod
    def of(cls, name: str, *parts: int | Int64[np.ndarray, " keys"]) -> "KeyedDraws":
        """Draws by name and the rest of the key: numbers that all keys share, and arrays of one a key."""
        roots = np.array([_hashed(name)])
        for part in parts:
            roots = _mixed(roots * _GAMMA + np.atleast_1d(np.asarray(part, np.int64)).view(np.uint64))
        return cls(roots)

    def bits(self, purpose: str, count: int) -> UInt64[np.ndarray, "keys {count}"]:
        """`count` numbers of 64 random bits for each key."""
        starts = _mixed(self.roots ^ _hashed(purpose))
        return _mixed(starts[:, None] + np.arange(count, dtype=np.uint64) * _GAMMA)

    def uniform(
        self, purpose: str, count: int, low: float = 0.0, high: float = 1.0
    ) -> Float64[np.ndarray, "keys {count}"]:
        """`count` numbers in [low, high) for each key, in steps of 2^-53 of the range."""
        return low + (high - low) * ((self.bits(purpose, count) >> np.uint64(11)) * 2.0**-53)

    def normal(self, purpose: str, count: int) -> Float64[np.ndarray, "keys {count}"]:
        """`count` standard normal numbers for each key (Box and Muller, 1958)."""
        half = -(-count // 2)
        uniform = self.uniform(purpose, 2 * half)
        radius, angle = np.sqrt(-2 * np.log1p(-uniform[:, :half])), 2 * np.pi * uniform[:, half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]


_GAMMA = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=256)
def _hashed(name: str) -> np.uint64:
    return np.uint64(int(stable_hash(name), 16))


def _mixed(state: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The output function of SplitMix64, on a new array."""
    mixed = state.copy()
    shifted = mixed >> np.uint64(30)
    for shift, factor in ((27, 0xBF58476D1CE4E5B9), (31, 0x94D049BB133111EB)):
        mixed ^= shifted
        mixed *= np.uint64(factor)
        np.right_shift(mixed, np.uint64(shift), out=shifted)
    mixed ^= shifted
    return mixed
