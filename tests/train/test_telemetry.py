import pytest
import torch

from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token
from whorl.model.peak import Peak
from whorl.model.transformer import Transformer
from whorl.train.energy import Energy
from whorl.train.telemetry import Telemetry

CONFIG = ModelConfig(vocab_size=64, width=32, depth=2, heads=2, kv_heads=2, head_dim=16, mlp_width=64, max_positions=32)
CPU = torch.device("cpu")


class Meter:
    name = "a meter"

    def joules(self) -> float:
        return 7200.0


def telemetry(*, vendor=None, meters=(), recomputed=0):
    return Telemetry(CPU, Peak(1e12, "fp32 matmul", vendor), Energy(meters), 3_000_000, recomputed)


def test_shares_are_the_arithmetic_done_over_the_peak():
    found = telemetry(recomputed=1_000_000, vendor=4e12).figures(tokens=200_000, seconds=2.0)
    assert found["tokens_per_s"] == 100_000
    assert found["mfu"] == pytest.approx(0.3)
    assert found["hfu"] == pytest.approx(0.4)
    assert found["mfu_of_vendor_peak"] == pytest.approx(0.075)
    assert found["memory_bytes"] > 1e6


def test_energy_is_in_watt_hours_and_absent_where_nothing_counts_it():
    assert telemetry(meters=[Meter()]).figures(1, 1.0)["energy_wh"] == 2
    bare = telemetry()
    assert not {"energy_wh", "mfu_of_vendor_peak"} & set(bare.figures(1, 1.0))
    assert bare.about()["energy"] == bare.about()["vendor_peak_flops"] == "not measured"


def test_no_time_gives_no_division_by_zero():
    assert telemetry().figures(0, 0.0)["tokens_per_s"] == 0


def test_opening_measures_the_device_and_counts_the_model():
    before = torch.get_rng_state()
    found = Telemetry.open(Transformer(CONFIG), 16, recompute="full")
    assert torch.equal(torch.get_rng_state(), before)
    assert found.flops_per_token == flops_per_token(CONFIG, 16)
    assert found.recomputed_flops_per_token == (flops_per_token(CONFIG, 16) - 6 * 64 * 32) / 3
    assert found.about()["peak"].startswith("fp32 matmul ")
    assert found.figures(1000, 1.0)["mfu"] == pytest.approx(1000 * found.flops_per_token / found.peak.flops)


def test_attention_written_out_as_products_is_charged_again_and_fused_attention_is_not():
    model = Transformer(CONFIG)
    again = {}
    for backend in ("sdpa", "matmul"):
        model.backend = backend
        again[backend] = Telemetry.open(model, 16, recompute="selective").recomputed_flops_per_token
    # two products of two operations, for 32 channels of queries and 8.5 keys in the mean, in two layers
    assert again == {"sdpa": 0, "matmul": 2 * 2 * 32 * 8.5 * 2}
