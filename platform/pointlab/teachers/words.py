"""A tokenizer of CLIP's kind, trained on a set's captions, and the captions as its tokens.

Byte pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016)
on bytes, as in CLIP: no text is foreign to it, and frequent words are one token. The result is an ordinary
`CLIPTokenizer`; equal captions make equal ones.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.teachers.library import quiet_transformers

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
"""Follows the last character of a word, and makes one symbol with it."""
FIRST_STAND_IN = 0xE000  # of the characters that Unicode leaves to everybody's own use


def train_tokenizer(captions: Iterable[str], num_words: int, max_words: int) -> Any:
    """A `CLIPTokenizer` of at most `num_words` entries, which cuts texts after `max_words` tokens."""
    with quiet_transformers() as transformers:
        splitter = transformers.CLIPTokenizer().backend_tokenizer
        entries, merges = _learnt(splitter, sorted(set(captions)), num_words - 2)
        entries |= {START: len(entries), END: len(entries) + 1}
        return transformers.CLIPTokenizer(entries, merges, model_max_length=max_words)


def _learnt(
    splitter: Any, captions: list[str], num_entries: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Entries and merges of the words that `splitter` finds.

    The library's own word ends are numbered in an order that changes from run to run. So one character stands
    for each byte at the end of a word while it learns; that also gives every byte both of its forms, as in
    CLIP.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    stand_ins = {character: chr(FIRST_STAND_IN + place) for place, character in enumerate(alphabet)}
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=num_entries, show_progress=False, initial_alphabet=[*alphabet, *stand_ins.values()]
    )
    words = (_words(splitter, caption) for caption in captions)
    learner.train_from_iterator(
        (" ".join(word[:-1] + stand_ins[word[-1]] for word in w) for w in words), trainer
    )
    meanings = str.maketrans({stand_in: c + WORD_END for c, stand_in in stand_ins.items()})
    entries = sorted(learner.get_vocab().items(), key=lambda entry: entry[1])
    merges = json.loads(learner.to_str())["model"]["merges"]
    return (
        {text.translate(meanings): number for text, number in entries},
        [(first.translate(meanings), second.translate(meanings)) for first, second in merges],
    )


def _words(splitter: Any, text: str) -> list[str]:
    """The words of a text, each byte of them as one printable character."""
    normalised = splitter.normalizer.normalize_str(text)
    return [word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(normalised)]


class CaptionTable(nn.Module):
    """The tokens of every caption of a set, looked up by the hash that stands for it in batches.

    They are no weights: tables of equal captions are equal, and no checkpoint keeps them. Captions of equal
    tokens, such as those that differ in capitals or past the cut, are one reading.
    """

    hashes: Int64[Tensor, " captions"]
    tokens: Int64[Tensor, "captions words"]
    mask: Int64[Tensor, "captions words"]
    readings: Int64[Tensor, " captions"]

    def __init__(self, captions: Mapping[int, str], tokenizer: Any) -> None:
        """Of captions by hash; DataError where there are none."""
        super().__init__()
        if not captions:
            raise DataError(
                "The set has no captions.",
                expected="a set whose clouds are described, as the built-in shapes are",
                remedy="choose such a set, or a network that learns from labels (vit or resnet)",
            )
        hashes = sorted(captions)
        encoded = tokenizer(
            [captions[number] for number in hashes], padding=True, truncation=True, return_tensors="pt"
        )
        tokenizer.backend_tokenizer.no_padding()  # it would be stored with the lengths of these texts
        tokenizer.backend_tokenizer.no_truncation()
        self.register_buffer("hashes", torch.tensor(hashes), persistent=False)
        self.register_buffer("tokens", encoded["input_ids"], persistent=False)
        self.register_buffer("mask", encoded["attention_mask"], persistent=False)
        readings = encoded["input_ids"].unique(dim=0, return_inverse=True)[1]
        self.register_buffer("readings", readings, persistent=False)

    def forward(
        self, captions: Int64[Tensor, " batch"] | None
    ) -> tuple[Int64[Tensor, "batch words"], Int64[Tensor, "batch words"], Int64[Tensor, " batch"]]:
        """Tokens of these captions, 1 where they are no padding, and numbers that tell equal tokens.

        Raises DataError for a caption that is not there.
        """
        if captions is None:
            raise DataError("Samples without captions reached a network that learns from them.")
        places = torch.searchsorted(self.hashes, captions).clamp_max(len(self.hashes) - 1)
        if bool((is_absent := self.hashes[places] != captions).any()):
            raise DataError(
                f"{int(is_absent.sum())} of {len(captions)} samples have no caption known of the set.",
                expected="a caption for every cloud",
                remedy="choose a set whose clouds are all described, or a network that learns from labels",
            )
        return self.tokens[places], self.mask[places], self.readings[places]
