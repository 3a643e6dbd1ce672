import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.model.layout import Layout, Stored

FUSED = Layout(
    {
        "blocks.{}.q": Stored("h.{}.qkv", flipped=True, part=0),
        "blocks.{}.k": Stored("h.{}.qkv", flipped=True, part=1),
        "blocks.{}.q_bias": Stored("h.{}.qkv_bias", part=0),
        "blocks.{}.k_bias": Stored("h.{}.qkv_bias", part=1),
        "blocks.{}.up": "h.{}.expert.{e}.w1",
        "blocks.{}.experts_gate": Stored("h.{}.expert.{e}.w", part=1),
        "blocks.{}.experts_up": Stored("h.{}.expert.{e}.w", part=0),
        "norm": "norm.weight",
        "scale": "scale",
    },
    prefix="model.",
)


def counted(*shape):
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)


def entries(layout, weights):
    return layout.entries({name: tensor.shape for name, tensor in weights.items()})


def test_a_joined_and_flipped_matrix_is_the_hand_worked_one():
    weights = {"blocks.0.q": torch.tensor([[1.0, 2.0]]), "blocks.0.k": torch.tensor([[3.0, 4.0], [5.0, 6.0]])}
    (entry,) = entries(FUSED, weights).values()
    assert (entry.name, entry.shape) == ("h.0.qkv", (2, 3))
    assert entry.gathered(weights).tolist() == [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]


def test_parts_stand_in_the_order_of_their_number_not_of_the_model():
    weights = {"blocks.1.experts_gate": counted(2, 1, 3), "blocks.1.experts_up": counted(2, 2, 3) + 10}
    found = entries(FUSED, weights)
    assert list(found) == ["h.1.expert.0.w", "h.1.expert.1.w"]
    assert found["h.1.expert.1.w"].gathered(weights).tolist() == [[16, 17, 18], [19, 20, 21], [3, 4, 5]]


def test_block_numbers_and_experts_are_counted_apart():
    weights = {"blocks.11.up": counted(3, 2, 2)}
    assert list(entries(FUSED, weights)) == ["h.11.expert.0.w1", "h.11.expert.1.w1", "h.11.expert.2.w1"]


@given(q=st.integers(1, 4), k=st.integers(1, 4), width=st.integers(1, 4), experts=st.integers(1, 3), block=st.integers(0, 12))
def test_what_is_gathered_scatters_back_to_where_it_was(q, k, width, experts, block):
    weights = {
        f"blocks.{block}.q": counted(q, width),
        f"blocks.{block}.k": counted(k, width) + 100,
        f"blocks.{block}.q_bias": counted(q),
        f"blocks.{block}.k_bias": counted(k) + 50,
        f"blocks.{block}.up": counted(experts, q, width),
        f"blocks.{block}.experts_gate": counted(experts, k, width),
        f"blocks.{block}.experts_up": counted(experts, q, width) + 7,
        "norm": counted(width),
        "scale": torch.tensor(3.0),
    }
    found = {name: torch.full_like(tensor, -1.0) for name, tensor in weights.items()}
    for entry in entries(FUSED, weights).values():
        public = entry.gathered(weights)
        assert tuple(public.shape) == entry.shape
        entry.scatter(public.clone(), found)
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_a_tensor_without_a_place_is_our_fault_and_named():
    with pytest.raises(AssertionError, match=r"no place for 'blocks\.0\.other'"):
        entries(FUSED, {"blocks.0.other": counted(1)})
    assert FUSED.holds("blocks.7.q")
    assert not FUSED.holds("blocks.7.other")


def test_names_of_headless_and_older_files_are_read_as_todays():
    layout = Layout({}, prefix="model.", ignored=("model.h.{}.mask",), renamed={"Norm.gamma": "Norm.weight"})
    known = {"model.h.0.w", "lm_head.weight", "model.Norm.weight"}
    assert layout.canonical("h.0.w", known) == "model.h.0.w"
    assert layout.canonical("model.h.0.w", known) == "model.h.0.w"
    assert layout.canonical("lm_head.weight", known) == "lm_head.weight"
    assert layout.canonical("Norm.gamma", known) == "model.Norm.weight"
    assert layout.canonical("stranger", known) == "stranger"
    assert layout.is_ignored(layout.canonical("h.3.mask", known))
