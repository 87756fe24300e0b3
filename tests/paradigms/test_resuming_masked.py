"""Masked paradigms, PPKT and segmentation resume exactly: masks, codes, pairs, noise, dropout and schedules
all follow from the step."""

import pytest

from paradigms.fitting import fit
from paradigms.masked_cases import CASES, built
from paradigms.providers import contents
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from training.test_loop import Killed, Recorder


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_ends_with_the_bits_of_an_undisturbed_one(storage: Storage, case: str) -> None:
    straight, broken, resumed = (built(case) for _ in range(3))
    fit(straight, storage, "straight", LocalContext(storage))
    with pytest.raises(Killed):
        fit(broken, storage, "broken", Recorder(storage, die_before=5), checkpoint_every=2)
    fit(resumed, storage, "broken", LocalContext(storage), checkpoint_every=2)
    assert contents(resumed) == contents(straight) != contents(broken)
    logs = [Run(storage, name).read_log() for name in ("straight", "broken")]
    assert logs[0] == logs[1]
    assert len([line for line in logs[0] if "train/loss" in line]) > 5
    run = Run(storage, "broken")
    weights = run.read_checkpoint(run.checkpoints()[-1])["weights.safetensors"].replace(b"to_latents.", b"")
    assert b"backbone." in weights
    assert b"foreign." not in weights  # what teaches is read anew
    assert b"latents." not in weights
    assert b"_teacher." not in weights
    assert b"maps." not in weights
