"""A finished network that gives a feature of each text: frozen, loaded once, on any device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.teachers.families import TEXT_ENCODERS
from pointlab.teachers.folders import require_type
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.loading import FAILURES, LOADED_FROM_HERE, damaged, load_network

TOKENIZERS = ({"tokenizer.json"}, {"vocab.json", "merges.txt"})
"""Files of which a folder has one set or the other; without, the library would make an empty tokenizer."""
OLD_END = 2
"""In the place of the end token in old configurations of CLIP: the end is then the highest number."""


class TextTeacher(nn.Module):
    """Texts to the projected features of a CLIP, not normalised; never in training mode.

    Texts are padded to the longest that the network takes, and cut there: a text's feature does not hang
    on how long those beside it are.
    """

    def __init__(self, folder: Path) -> None:
        """Load network and tokenizer; DataError for another kind of folder, or where the two do not fit."""
        super().__init__()
        require_type(folder, TEXT_ENCODERS)
        self.tokenizer = _tokenizer_of(folder)
        network, _ = load_network(folder, lambda library: library.CLIPModel)
        self.network: Any = network.requires_grad_(False)
        self.width: int = network.config.projection_dim
        self.num_words: int = network.config.text_config.max_position_embeddings
        _require_fitting(folder, self.tokenizer, network.config.text_config)
        self.eval()

    def train(self, mode: bool = True) -> "TextTeacher":  # noqa: ARG002
        """Itself, in eval mode."""
        super().train(False)
        return self

    def tokenised(
        self, texts: Sequence[str]
    ) -> tuple[Int64[Tensor, "texts words"], Int64[Tensor, "texts words"]]:
        """Tokens of the texts, and 1 where they are no padding, on the CPU; DataError for no texts."""
        if not texts:
            raise DataError("No text was given to be read.", expected="one or more texts")
        encoded = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.num_words, return_tensors="pt"
        )
        return encoded["input_ids"], encoded["attention_mask"]

    @torch.no_grad()
    def forward(
        self, tokens: Int64[Tensor, "texts words"], mask: Int64[Tensor, "texts words"]
    ) -> Float[Tensor, "texts features"]:
        """Features of texts in the form of `tokenised`, on the network's device."""
        device = next(self.network.parameters()).device
        output = self.network.get_text_features(tokens.to(device), attention_mask=mask.to(device))
        features: Tensor = output.pooler_output
        return features


def require_tokenizer(folder: Path) -> None:
    """Return where a folder tells how texts become numbers; DataError where it does not."""
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise DataError(
            f"{folder} has no tokenizer.",
            expected="tokenizer.json, or vocab.json and merges.txt",
            remedy="copy them from where the network is from: its numbers of words are in them",
        )


def _tokenizer_of(folder: Path) -> Any:
    require_tokenizer(folder)
    with quiet_transformers() as library:
        try:
            return library.AutoTokenizer.from_pretrained(folder, **LOADED_FROM_HERE)
        except FAILURES as error:
            raise damaged(folder, "tokenizer", error) from error


def _require_fitting(folder: Path, tokenizer: Any, config: Any) -> None:
    """DataError where the tokenizer is another network's: its numbers mean other words, or none."""
    end = config.vocab_size - 1 if config.eos_token_id == OLD_END else config.eos_token_id
    if len(tokenizer) > config.vocab_size or tokenizer.eos_token_id != end:
        raise DataError(
            f"The tokenizer in {folder} has {len(tokenizer)} entries and ends texts with number"
            f" {tokenizer.eos_token_id}.",
            expected=f"at most {config.vocab_size} entries and the end {end}, as its network has",
            remedy="copy the tokenizer that belongs to the network",
        )
