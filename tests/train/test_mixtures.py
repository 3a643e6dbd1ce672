"""Mixtures of experts in the loop: their losses and biases are exact across micro-batches, recomputation and interruption."""

import json

import pytest
import torch
from toy_training import content, fit

from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.recompute import recompute
from whorl.model.router import Router, balanced, side_loss
from whorl.model.transformer import Transformer
from whorl.train.data import to_rows
from whorl.train.objectives import Objective

TOY = {"depth": 2, "width": 32, "heads": 2, "mlp_width": 64, "experts": 4, "experts_per_token": 2}
FAMILIES = {
    "mixtral": {"use": "mixtral", **TOY, "balance_weight": 0.05, "router_z": 0.01},
    "qwen3_moe": {"use": "qwen3_moe", **TOY, "expert_width": 16, "dense_layers": (0,), "balance_weight": 0},
    "dots1": {"use": "dots1", **TOY, "expert_width": 16, "balance_weight": 0.01},
}
every_mixture = pytest.mark.parametrize("name", FAMILIES)


class TornError(Exception):
    """What the test throws into a run."""


def torn(ground, draft, step, stage):
    """Run until the loss of a step was told, then throw."""

    def throw(event):
        if event["kind"] == "metric" and "loss" in event and event["step"] == step:
            raise TornError

    with pytest.raises(TornError):
        stage.run(ground.job(draft, sinks=[throw]))


@every_mixture
def test_a_mixture_interrupted_twice_equals_an_uninterrupted_one(name, ground, tmp_path):
    stage = fit(model=FAMILIES[name], save_every=0, micro_rows=3)
    stage.run(ground.job(tmp_path / "whole"))
    for step in (4, 9):
        torn(ground, tmp_path / "torn", step, stage)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def test_a_fit_moves_the_bias_of_every_layer_by_whole_steps_and_keeps_it_in_the_checkpoint(ground, tmp_path):
    fit(model=FAMILIES["dots1"]).run(ground.job(tmp_path))
    assert json.loads((tmp_path / "checkpoint/config.json").read_text())["topk_method"] == "noaux_tc"
    for block in checkpoint.load(tmp_path / "checkpoint").model.blocks:
        steps = block.mlp.router.bias / 0.01
        assert 1 <= float(steps.abs().max()) <= 12  # steps of the run
        torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_a_fit_tells_how_crowded_the_fullest_expert_is_and_a_dense_one_does_not(ground, tmp_path):
    for name, model in {"dense": fit().model, "mixture": FAMILIES["dots1"]}.items():
        events = []
        fit(model=model).run(ground.job(tmp_path / name, sinks=[events.append]))
        told = [event["expert_crowding"] for event in events if event["kind"] == "metric" and "expert_crowding" in event]
        assert len(told) == (12 if name == "mixture" else 0)
        assert all(1 <= figure <= 2 for figure in told)  # 2: every token uses the same two of four


def model_of(name, ground):
    config = Family.model_validate(FAMILIES[name]).configure(ground.tokenizer.size, 64)
    return Transformer.fresh(config.model_copy(update={"zero_outputs": False}), Seed(1))


def rows_of(ground, count=6):
    objective = Objective.model_validate({"use": "next_token"})
    read = objective.material(ground.artifact("tokens").path, "train", ground.tokenizer)
    return objective, to_rows(read.loader(rows=count, width=40, seed=Seed(3)).batch(0), torch.device("cpu"))


def step(model, objective, pieces):
    """Gradient of the summed loss, and loads, of one optimizer step."""
    routers = [module for module in model.modules() if isinstance(module, Router)]
    model.zero_grad(set_to_none=True)
    for rows in pieces:
        for router in routers:
            router.listen()
        nats = objective.loss(model, rows)
        held = rows.docs >= 0
        (nats + side_loss(routers, held) * held.sum()).backward()
    return balanced(routers), [parameter.grad for parameter in model.parameters()]


@every_mixture
@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputation_changes_no_bit_and_counts_no_token_twice(name, mode, ground):
    objective, rows = rows_of(ground)
    loads, wanted = step(model_of(name, ground), objective, [rows])
    assert int(loads.sum()) == int((rows.docs >= 0).sum()) * 2 * len(loads)
    model = model_of(name, ground)
    recompute(model, mode)
    again, found = step(model, objective, [rows])
    assert torch.equal(loads, again)
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


@pytest.mark.parametrize("name", ["qwen3_moe", "dots1"])
@pytest.mark.parametrize("size", [1, 4])
def test_micro_batches_of_mixtures_without_a_balancing_loss_sum_to_the_big_batch(name, size, ground):
    objective, rows = rows_of(ground)
    loads, wanted = step(model_of(name, ground), objective, [rows])
    again, found = step(model_of(name, ground), objective, rows.split(size))
    assert torch.equal(loads, again)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)  # float32 sums of a few hundred terms in another order
