import pytest
import torch
from toy_training import MODEL

from whorl.core.errors import ArtifactError, DataError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train import state
from whorl.train.detour import Detour
from whorl.train.optimizers import Optimizer
from whorl.train.state import LossPoint, Progress, Return, Skip, WatchPoint
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


PROGRESS = Progress(
    step=7,
    num_targets=123,
    nats=0.1 + 0.2,
    nats_targets=11,
    losses=[LossPoint(5, 1 / 3)],
    held_out=[WatchPoint(0, 2.5), WatchPoint(5, 1e-17)],
    nats_bytes=1 / 7,
    skips=[Skip(6, "loss nan")],
    bad_in_row=1,
    returns=[Return(6, 4, 16, 24)],
    detours=[Detour(4, 8)],
)


def keepers(stepper):
    return {"moments": stepper}


def saved(folder, step, kind="step"):
    model, stepper = run(1)
    state.save(folder, model, keepers(stepper), Progress(step), kind=kind)
    return model, stepper


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    model, stepper = run(1)
    state.save(tmp_path, model, keepers(stepper), PROGRESS)
    other, its_stepper = run(2)
    assert state.restore(state.latest(tmp_path), other, keepers(its_stepper)) == PROGRESS
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    saved, restored = stepper.state(), its_stepper.state()
    assert saved.keys() == restored.keys()
    assert all(torch.equal(saved[name], restored[name]) for name in saved)


def test_only_the_newest_state_is_kept_once_it_is_whole(tmp_path):
    model, stepper = run(1)
    for step in (3, 20, 100):
        state.save(tmp_path, model, keepers(stepper), Progress(step))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000100"]


def test_what_a_crash_left_half_written_is_not_a_state_and_does_not_stop_the_next(tmp_path):
    model, stepper = run(1)
    state.save(tmp_path, model, keepers(stepper), Progress(3))
    (tmp_path / ".writing").mkdir()
    (tmp_path / ".writing" / "weights.safetensors").write_bytes(b"half")
    assert state.latest(tmp_path).name == "step-00000003"
    state.save(tmp_path, model, keepers(stepper), Progress(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_no_state_is_none(tmp_path):
    assert state.latest(tmp_path) is None


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model, stepper = run(1)
    state.save(tmp_path, model, keepers(stepper), Progress(3))
    model.blocks[1].mlp.up.weight.data[0, 0] = float("inf")
    with pytest.raises(DataError, match=r"step 4: weight 'blocks\.1\.mlp\.up\.weight' is not finite"):
        state.save(tmp_path, model, keepers(stepper), Progress(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_the_state_of_another_model_is_refused(tmp_path):
    saved(tmp_path, 3)
    other, stepper = run(1, width=64)
    with pytest.raises(ArtifactError, match=r"is \(\d+, 32\), want \(\d+, 64\)"):
        state.restore(state.latest(tmp_path), other, keepers(stepper))


def test_a_state_cut_short_says_what_to_delete(tmp_path):
    model, stepper = saved(tmp_path, 3)
    damaged = state.latest(tmp_path) / "moments.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"cannot be read .* delete .*step-00000003"):
        state.restore(state.latest(tmp_path), model, keepers(stepper))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_run_may_go_back_to_is_kept_beside_the_newest(tmp_path):
    for step, kind in [(2, "good"), (3, "step"), (4, "good"), (5, "step"), (7, "step")]:
        saved(tmp_path, step, kind)
    assert names(tmp_path) == ["good-00000004", "step-00000007"]
    assert state.good(tmp_path).name == "good-00000004"
    assert state.latest(tmp_path).name == "step-00000007"
    saved(tmp_path, 8, "good")
    assert state.latest(tmp_path).name == "good-00000008"


def test_a_run_that_went_back_forgets_what_it_saved_since_and_knows_of_the_return(tmp_path):
    for step, kind in [(4, "good"), (7, "step")]:
        saved(tmp_path, step, kind)
    state.abandon(tmp_path)
    assert state.latest(tmp_path).name == "good-00000004"
    model, stepper = run(1)
    state.save(tmp_path, model, keepers(stepper), Progress(4, detours=[Detour(4, 8)]))
    assert state.restore(state.latest(tmp_path), model, keepers(stepper)).detours == [Detour(4, 8)]


def test_what_a_model_keeps_beside_its_weights_is_saved_too(tmp_path):
    model = torch.nn.BatchNorm1d(3)
    model.running_mean.fill_(0.25)
    state.save(tmp_path, model, {}, Progress(1))
    model.running_mean.zero_()
    state.restore(state.latest(tmp_path), model, {})
    assert model.running_mean.tolist() == [0.25] * 3
