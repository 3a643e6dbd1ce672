import pytest
import torch
from toy_training import MODEL

from whorl.core.errors import ArtifactError, DataError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train import state
from whorl.train.optimizers import Optimizer
from whorl.train.state import LossPoint, Progress, WatchPoint
from whorl.train.weights import weights_of


def run(seed, width=32):
    """A model and a stepper that has taken a step."""
    model = Transformer.fresh(Family.model_validate({**MODEL, "width": width}).configure(300, 32), Seed(seed))
    stepper = Optimizer.model_validate({"use": "muon"}).build(weights_of(model), torch.float32)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    stepper.step(1.0)
    return model, stepper


PROGRESS = Progress(7, 123, 0.1 + 0.2, 11, [LossPoint(5, 1 / 3)], [WatchPoint(0, 2.5), WatchPoint(5, 1e-17)])


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    model, stepper = run(1)
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    state.save(tmp_path, model, stepper, PROGRESS)
    other, its_stepper = run(2)
    assert state.restore(state.latest(tmp_path), other, its_stepper) == PROGRESS
    assert torch.equal(torch.rand(3), drawn)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    saved, restored = stepper.state(), its_stepper.state()
    assert saved.keys() == restored.keys()
    assert all(torch.equal(saved[name], restored[name]) for name in saved)


def test_only_the_newest_state_is_kept_once_it_is_whole(tmp_path):
    model, stepper = run(1)
    for step in (3, 20, 100):
        state.save(tmp_path, model, stepper, Progress(step))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000100"]


def test_what_a_crash_left_half_written_is_not_a_state_and_does_not_stop_the_next(tmp_path):
    model, stepper = run(1)
    state.save(tmp_path, model, stepper, Progress(3))
    (tmp_path / ".writing").mkdir()
    (tmp_path / ".writing" / "weights.safetensors").write_bytes(b"half")
    assert state.latest(tmp_path).name == "step-00000003"
    state.save(tmp_path, model, stepper, Progress(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_no_state_is_none(tmp_path):
    assert state.latest(tmp_path) is None


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model, stepper = run(1)
    state.save(tmp_path, model, stepper, Progress(3))
    model.blocks[1].mlp.up.weight.data[0, 0] = float("inf")
    with pytest.raises(DataError, match=r"step 4: weight 'blocks\.1\.mlp\.up\.weight' is not finite"):
        state.save(tmp_path, model, stepper, Progress(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_the_state_of_another_model_is_refused(tmp_path):
    state.save(tmp_path, *run(1), Progress(3))
    with pytest.raises(ArtifactError, match=r"is \(\d+, 32\), want \(\d+, 64\)"):
        state.restore(state.latest(tmp_path), *run(1, width=64))


def test_a_state_cut_short_says_what_to_delete(tmp_path):
    state.save(tmp_path, *run(1), Progress(3))
    damaged = state.latest(tmp_path) / "moments.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"cannot be read .* delete .*step-00000003"):
        state.restore(state.latest(tmp_path), *run(1))
