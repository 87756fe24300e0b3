"""How instances come to differ, and the words that tell of it: draws, lengths of text, sentences."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pointlab.data.builtin.primitives import Number

Option = TypeVar("Option")

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_IRREGULAR = {"foot": "feet", "shelf": "shelves", "leaf": "leaves", "box": "boxes"}


def pick(generator: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of `options`, all equally likely."""
    return options[int(generator.integers(len(options)))]


def chance(generator: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(generator.random() < probability)


def whole(generator: np.random.Generator, least: int, most: int) -> int:
    """A whole number from `least` to `most`, both included."""
    return int(generator.integers(least, most + 1))


def between(generator: np.random.Generator, low: Number, high: Number) -> float:
    """A number drawn uniformly from this range."""
    return float(generator.uniform(low, high))


def counted(number: int, noun: str) -> str:
    """A number in words before its noun: "one leg", "three legs"."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{word} {noun}" if number == 1 else f"{word} {plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun or of a phrase that ends in one."""
    *words, last = noun.split(" ")
    return " ".join([*words, _IRREGULAR.get(last, f"{last}s")])


def with_article(phrase: str) -> str:
    """The phrase after "a" or "an", by its first letter."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def describe(noun: str, features: Sequence[str]) -> str:
    """A caption: "a round table with three splayed legs and a shelf"; empty features are left out."""
    *others, last = [feature for feature in features if feature] or [""]
    if not last:
        return with_article(noun)
    return f"{with_article(noun)} with {', '.join(others)}{' and ' if others else ''}{last}"
