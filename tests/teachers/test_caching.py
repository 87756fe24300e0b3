"""What finished networks say is kept by what decides it."""

import pytest
import torch

from pointlab.teachers import caching


def test_another_device_or_library_has_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    made_with = [caching._made_with(torch.device(kind)) for kind in ("cpu", "cuda")]
    monkeypatch.setattr(caching, "version", lambda name: f"{name} 0")
    made_with.append(caching._made_with(torch.device("cpu")))
    assert len({tuple(each) for each in made_with}) == 3
