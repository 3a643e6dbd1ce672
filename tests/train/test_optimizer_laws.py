"""Laws of every optimizer behind the door, plain and with every option."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from whorl.core.errors import ArtifactError
from whorl.train.optimizers import Optimizer
from whorl.train.schedules import Moment
from whorl.train.weights import Weight

NAMES = Optimizer.names()
DTYPES = (torch.float32, torch.bfloat16)
SHAPES = {"matrix": (6, 10), "embedding": (8, 4), "head": (8, 4), "vector": (5,)}
ROLES = ("matrix", "embedding", "head", "vector")
OPTIONS = {
    "plain": {},
    "decaying": {"decay": 0.2, "l1": 0.01, "decay_schedule": "peak"},
    "cautious": {"decay": 0.2, "cautious_decay": True, "cautious": True, "decay_schedule": {"use": "linear"}},
}
DEEPEST = {"muon": [{"scale": "match_rms_adamw"}, {"row_beta": 0.9}], "sgd": [{"momentum": 0.0}, {"nesterov": False}]}
VARIANTS = [{"use": name, **options} for name in NAMES for options in [*OPTIONS.values(), *DEEPEST.get(name, [])]]

every_optimizer = pytest.mark.parametrize("name", NAMES)
every_variant = pytest.mark.parametrize("written", VARIANTS, ids=str)


def drawn(seed=0):
    """A weight of each role, and a stack of matrices."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(role, role, shape) for role, shape in SHAPES.items()] + [("matrix_stack", "matrix", (3, 10, 6))]
    return [Weight(name, nn.Parameter(0.1 * torch.randn(shape, generator=generator)), role) for name, role, shape in shapes]


def loss_of(weights):
    """Squared distance from zeros; its gradient is left on the weights."""
    loss = torch.stack([weight.tensor.square().sum() for weight in weights]).sum()
    for weight in weights:
        weight.tensor.grad = None
    loss.backward()
    return float(loss.detach())


def moment(step):
    return Moment(step * 10, step * 10 + 10, 100)


def descend(weights, stepper, steps):
    """Every third step's gradient is clipped."""
    for step in steps:
        loss_of(weights)
        stepper.step(1 / (1 + 0.1 * step), moment(step), shrink=None if step % 3 else torch.tensor(0.3))


def build(written, weights, dtype=torch.float32):
    return Optimizer.model_validate(written).build(weights, dtype)


def undecayed(name, **fields):
    return {"use": name, "decay": 0.0, **fields}


def values(weights):
    return {weight.name: weight.tensor.detach().clone() for weight in weights}


def copied(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def pushed(weight, step):
    """A gradient of the weight's shape, the same for every weight of its name."""
    generator = torch.Generator().manual_seed(100 * step + len(weight.name))
    return torch.randn(weight.tensor.shape, generator=generator)


def assert_near(found, wanted):
    """Within a millionth of the largest entry: others can be what is left of a difference."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


def without_gradient(weights):
    for weight in weights:
        weight.tensor.grad = torch.zeros_like(weight.tensor)


@pytest.mark.parametrize("dtype", DTYPES)
@every_optimizer
def test_it_descends_a_quadratic(name, dtype):
    weights = drawn()
    stepper = build(undecayed(name, rate=0.01), weights, dtype)
    before = loss_of(weights)
    for step in range(1000):
        loss_of(weights)
        stepper.step(1 / (1 + 0.01 * step))
    assert loss_of(weights) < before / 100


@pytest.mark.parametrize("dtype", DTYPES)
@every_variant
def test_resuming_equals_no_interruption_bit_for_bit(written, dtype):
    whole, first = drawn(), drawn()
    descend(whole, build(written, whole, dtype), range(9))
    stepper = build(written, first, dtype)
    descend(first, stepper, range(4))
    second = drawn(seed=1)
    for old, new in zip(first, second, strict=True):
        new.tensor.data.copy_(old.tensor.data)
    resumed = build(written, second, dtype)
    resumed.load(copied(stepper.state()))
    descend(second, resumed, range(4, 9))
    assert all(torch.equal(a.tensor, b.tensor) for a, b in zip(whole, second, strict=True))


@every_variant
def test_the_names_of_the_state_are_the_same_at_every_step_and_for_any_order_of_weights(written):
    weights = drawn()
    stepper = build(written, weights)
    names = []
    for step in range(3):
        descend(weights, stepper, [step])
        names.append(set(stepper.state()))
    turned = drawn()[::-1]
    stepper = build(written, turned)
    descend(turned, stepper, [0])
    assert names == [set(stepper.state())] * 3
    assert all(name.rpartition(".")[0] in values(weights) for name in names[0])


@every_variant
def test_steps_are_the_same_for_any_order_of_weights(written):
    forth, back = drawn(), drawn()[::-1]
    descend(forth, build(written, forth), range(3))
    descend(back, build(written, back), range(3))
    assert all(torch.equal(values(forth)[name], values(back)[name]) for name in values(forth))


@every_variant
def test_gradients_stay_as_they_are(written):
    weights = drawn()
    loss_of(weights)
    before = [weight.tensor.grad.clone() for weight in weights]
    build(written, weights).step(1.0, moment(0))
    assert all(torch.equal(weight.tensor.grad, gradient) for weight, gradient in zip(weights, before, strict=True))


@every_variant
@pytest.mark.parametrize("scale", [1.0, 2.0**-16], ids=["plain", "unscaled"])
def test_a_shrink_counts_as_gradients_that_were_multiplied_before(written, scale):
    """And does not outlast its step. Kernels divide by its inverse, so roundings differ: a few parts in ten million."""
    ours, theirs = drawn(), drawn()
    steppers = build(written, ours), build(written, theirs)
    for step, shrink in enumerate((0.7, None, 1e-3, 0.9, None)):
        times = scale if shrink is None else scale * shrink
        for weight, other in zip(ours, theirs, strict=True):
            weight.tensor.grad = pushed(weight, step) / scale
            other.tensor.grad = weight.tensor.grad * times
        steppers[0].step(1.0, moment(step), shrink=None if times == 1 else torch.tensor(times))
        steppers[1].step(1.0, moment(step))
        for weight, other in zip(ours, theirs, strict=True):
            assert_near(weight.tensor.grad, other.tensor.grad)
    for weight, other in zip(ours, theirs, strict=True):
        assert_near(weight.tensor.detach(), other.tensor.detach())
    for key, tensor in steppers[0].state().items():
        assert_near(tensor, steppers[1].state()[key])


@every_variant
def test_a_shrink_of_one_is_none_to_the_bit(written):
    found = []
    for shrink in (None, torch.tensor(1.0)):
        weights = drawn()
        stepper = build(written, weights)
        for step in range(3):
            for weight in weights:
                weight.tensor.grad = pushed(weight, step)
            stepper.step(1.0, moment(step), shrink=shrink)
        found.append({**values(weights), **stepper.state(), **{f"{w.name}.grad": w.tensor.grad for w in weights}})
    assert all(torch.equal(tensor, found[1][key]) for key, tensor in found[0].items())


@every_variant
@pytest.mark.parametrize("shrink", [0.0, math.inf, math.nan])
def test_a_shrink_that_is_no_number_to_multiply_by_is_as_bad_as_gradients_multiplied_by_it(written, shrink):
    ours, theirs = drawn(), drawn()
    for weight, other in zip(ours, theirs, strict=True):
        weight.tensor.grad = pushed(weight, 0)
        other.tensor.grad = weight.tensor.grad * shrink
    build(written, ours).step(1.0, moment(0), shrink=torch.tensor(shrink))
    build(written, theirs).step(1.0, moment(0))
    assert all(torch.equal(w.tensor.isfinite(), o.tensor.isfinite()) for w, o in zip(ours, theirs, strict=True))


@every_optimizer
def test_a_factor_of_zero_changes_no_weight(name):
    weights = drawn()
    loss_of(weights)
    build({"use": name, "decay": 0.3, "l1": 0.1}, weights).step(0.0)
    assert all(torch.equal(values(weights)[name], before) for name, before in values(drawn()).items())


@every_optimizer
@pytest.mark.parametrize("options", [{}, {"cautious": True, "cautious_decay": True}], ids=str)
def test_a_gradient_of_zero_without_decay_moves_nothing(name, options):
    weights = drawn()
    stepper = build(undecayed(name, **options), weights)
    for _ in range(3):
        without_gradient(weights)
        stepper.step(1.0)
    assert all(torch.equal(values(weights)[name], before) for name, before in values(drawn()).items())


@every_optimizer
@pytest.mark.parametrize("is_cautious", [False, True])
@pytest.mark.parametrize(("course", "share"), [("rate", 0.5), ("peak", 1.0), ({"use": "linear", "warmup": 0}, 0.7)])
def test_without_a_gradient_decay_takes_its_share_of_the_roles_it_is_for(name, is_cautious, course, share):
    weights = drawn()
    written = {"use": name, "rate": 0.1, "decay": 0.2, "decayed": ["matrix"], "decay_schedule": course}
    stepper = build({**written, "cautious_decay": is_cautious}, weights)
    without_gradient(weights)
    stepper.step(0.5, moment(3))
    for weight, before in zip(weights, drawn(), strict=True):
        kept = 1 - 0.1 * 0.2 * share if weight.role == "matrix" else 1.0
        torch.testing.assert_close(weight.tensor.detach(), kept * before.tensor.detach(), rtol=1e-6, atol=0)


@every_optimizer
def test_cautious_decay_leaves_what_the_update_grows_and_takes_its_share_of_the_rest(name):
    """Beside two steppers that do and do not decay: every entry is that of one of them, by the sign of its update."""
    pushes = torch.Generator().manual_seed(3)
    found = []
    for options in ({"cautious_decay": True}, {}, {"decay": 0.0}):
        weights = drawn()
        stepper = build({"use": name, "decay": 0.2, "decayed": ROLES, **options}, weights)
        pushes.manual_seed(3)
        for weight in weights:
            weight.tensor.grad = torch.randn(weight.tensor.shape, generator=pushes)
        stepper.step(1.0)
        found.append(values(weights))
    for key, before in values(drawn()).items():
        mixed, decayed, free = (each[key] for each in found)
        grows = (free - before) * before > 0
        assert 0 < grows.float().mean() < 1
        # The two ways of computing Adam round apart by a few parts in ten million.
        torch.testing.assert_close(mixed, torch.where(grows, free, decayed), rtol=2e-6, atol=2e-8)


@every_optimizer
@given(factor=st.floats(0.1, 1))
def test_l1_pulls_by_a_fixed_amount_and_stops_at_zero(name, factor):
    weights = drawn()
    without_gradient(weights)
    build(undecayed(name, rate=0.1, l1=0.5, decayed=["matrix"]), weights).step(factor)
    for weight, before in zip(weights, drawn(), strict=True):
        pulled = nn.functional.softshrink(before.tensor.detach(), 0.05 * factor) if weight.role == "matrix" else before.tensor
        torch.testing.assert_close(weight.tensor, pulled, rtol=1e-6, atol=1e-8)
        assert bool((weight.tensor == 0).any()) is (weight.role == "matrix")


@every_optimizer
@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_have_a_rate_of_its_own(name, role):
    weights = drawn()
    stepper = build(undecayed(name, rates={role: 0.0}), weights)
    loss_of(weights)
    stepper.step(1.0)
    still = {weight.name for weight, before in zip(weights, drawn(), strict=True) if torch.equal(weight.tensor, before.tensor)}
    assert still == {weight.name for weight in weights if weight.role == role}
    assert stepper.rates[role] == 0.0
    assert max(stepper.rates.values()) > 0


@every_optimizer
def test_a_role_nobody_knows_is_refused(name):
    with pytest.raises(ValueError, match="rates"):
        Optimizer.model_validate({"use": name, "rates": {"embeddings": 0.1}})


@every_optimizer
@pytest.mark.parametrize("fault", ["missing", "spare", "shape"])
def test_the_state_of_another_model_is_refused_by_name(name, fault):
    weights = drawn()
    stepper = build(undecayed(name), weights)
    descend(weights, stepper, range(2))
    state = copied(stepper.state())
    victim = max(key for key in state if key.startswith("matrix."))
    if fault == "missing":
        del state[victim]
    elif fault == "spare":
        victim = victim.replace("matrix", "matrix2")
        state[victim] = torch.zeros(2)
    else:
        state[victim] = torch.zeros(3, 3)
    with pytest.raises(ArtifactError, match=victim):
        build(undecayed(name), drawn()).load(state)


@every_optimizer
@pytest.mark.parametrize("options", [{}, {"cautious": True}], ids=str)
def test_a_weight_the_loss_does_not_reach_is_our_own_fault(name, options):
    weights = drawn()
    loss_of(weights)
    weights[0].tensor.grad = None
    with pytest.raises(AssertionError, match="matrix has no gradient"):
        build(undecayed(name, **options), weights).step(1.0)


@every_optimizer
def test_a_decay_with_a_schedule_of_its_own_must_be_told_where_the_run_is(name):
    weights = drawn()
    loss_of(weights)
    stepper = build({"use": name, "decay_schedule": {"use": "linear"}}, weights)
    with pytest.raises(AssertionError, match="where in the run"):
        stepper.step(1.0)
