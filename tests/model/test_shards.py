import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from whorl.core.errors import DataError
from whorl.model.layout import Layout, Stored
from whorl.model.shards import read_weights, write_weights

LAYOUT = Layout(
    {
        "embed": "model.embed",
        "blocks.{}.q": Stored("model.h.{}.qk", flipped=True, part=0),
        "blocks.{}.k": Stored("model.h.{}.qk", flipped=True, part=1),
        "blocks.{}.up": Stored("model.h.{}.experts.{e}.up"),
    },
    prefix="model.",
    copies={"lm_head": "embed"},
    ignored=("model.h.{}.mask",),
)


def drawn_weights():
    generator = torch.Generator().manual_seed(0)
    shapes = {"embed": (6, 4), "blocks.0.q": (4, 4), "blocks.0.k": (2, 4), "blocks.0.up": (3, 5, 4)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write(folder, weights, *, dtype=torch.float32, max_bytes=10_000):
    write_weights(folder, weights, layout=LAYOUT, dtype=dtype, max_bytes=max_bytes)


def read(folder, weights):
    found = {name: torch.full_like(tensor, torch.nan) for name, tensor in weights.items()}
    read_weights(folder, found, layout=LAYOUT)
    return found


def rewrite(folder, change):
    public = load_file(folder / "model.safetensors")
    change(public)
    save_file(public, folder / "model.safetensors")


def assert_equal(found, weights):
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("max_bytes", [1, 100, 250, 10_000])
def test_weights_come_back_to_the_bit_however_many_files_hold_them(max_bytes, tmp_path):
    weights = drawn_weights()
    write(tmp_path, weights, max_bytes=max_bytes)
    assert_equal(read(tmp_path, weights), weights)


def test_files_are_as_full_as_the_limit_allows_and_the_index_says_where_all_is(tmp_path):
    write(tmp_path, drawn_weights(), max_bytes=200)  # in bytes: embed 96, q and k 96, three experts of 80
    held = {path.name: sorted(load_file(path)) for path in tmp_path.glob("*.safetensors")}
    assert held == {
        "model-00001-of-00003.safetensors": ["model.embed", "model.h.0.qk"],
        "model-00002-of-00003.safetensors": ["model.h.0.experts.0.up", "model.h.0.experts.1.up"],
        "model-00003-of-00003.safetensors": ["model.h.0.experts.2.up"],
    }
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 96 + 96 + 3 * 80}
    assert index["weight_map"] == {name: file for file, names in held.items() for name in names}


@pytest.mark.parametrize(("first", "then"), [(100, 10_000), (10_000, 100)])
def test_writing_again_leaves_nothing_of_the_older_weights(first, then, tmp_path):
    weights = drawn_weights()
    write(tmp_path, weights, max_bytes=first)
    write(tmp_path, {name: tensor + 1 for name, tensor in weights.items()}, max_bytes=then)
    assert_equal(read(tmp_path, weights), {name: tensor + 1 for name, tensor in weights.items()})
    assert (tmp_path / "model.safetensors").is_file() != (tmp_path / "model.safetensors.index.json").is_file()


def test_another_precision_is_rounded_once(tmp_path):
    weights = drawn_weights()
    write(tmp_path, weights, dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}
    assert_equal(read(tmp_path, weights), {name: tensor.bfloat16().float() for name, tensor in weights.items()})


def test_files_without_the_head_and_its_prefix_and_with_masks_are_read(tmp_path):
    weights = drawn_weights()
    write(tmp_path, weights)
    public = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("model."): tensor for name, tensor in public.items()}
    save_file({**bare, "h.0.mask": torch.ones(2, dtype=torch.bool)}, tmp_path / "model.safetensors")
    assert_equal(read(tmp_path, weights), weights)


def test_a_copy_is_accepted_when_it_is_one(tmp_path):
    weights = drawn_weights()
    write(tmp_path, weights)
    rewrite(tmp_path, lambda public: public.update({"lm_head": public["model.embed"].clone()}))
    assert_equal(read(tmp_path, weights), weights)
    rewrite(tmp_path, lambda public: public.update({"lm_head": public["model.embed"] + 1e-3}))
    with pytest.raises(DataError, match=r"lm_head differs from what config\.json ties it to"):
        read(tmp_path, weights)


def test_one_tensor_under_two_names_is_refused(tmp_path):
    write(tmp_path, drawn_weights())
    rewrite(tmp_path, lambda public: public.update({"embed": public["model.embed"].clone()}))
    with pytest.raises(DataError, match="is stored twice"):
        read(tmp_path, drawn_weights())


def test_a_joined_matrix_of_the_wrong_size_is_named_as_it_is_stored(tmp_path):
    write(tmp_path, drawn_weights())
    rewrite(tmp_path, lambda public: public.update({"model.h.0.qk": torch.zeros(6, 4)}))
    with pytest.raises(DataError, match=r"model\.h\.0\.qk has shape \(6, 4\), want \(4, 6\)"):
        read(tmp_path, drawn_weights())


def test_a_missing_expert_is_named(tmp_path):
    write(tmp_path, drawn_weights())
    rewrite(tmp_path, lambda public: public.pop("model.h.0.experts.1.up"))
    with pytest.raises(DataError, match=r"missing: model\.h\.0\.experts\.1\.up; unexpected: none"):
        read(tmp_path, drawn_weights())


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(dtype, tmp_path):
    write(tmp_path, drawn_weights())
    rewrite(tmp_path, lambda public: public.update({"model.embed": torch.zeros(6, 4).to(dtype)}))
    with pytest.raises(DataError, match=r"model\.embed holds torch\.(int8|float8_e4m3fn); quantised weights are not supported"):
        read(tmp_path, drawn_weights())


@pytest.mark.parametrize("place", ["../model.safetensors", "/etc/passwd"])
def test_an_index_that_points_out_of_the_folder_is_refused(place, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"model.embed": place}}))
    with pytest.raises(DataError, match="want names of files in this folder"):
        read(tmp_path, drawn_weights())


class Allocations(TorchDispatchMode):
    """Counts the bytes of every storage that an operation makes and none of its arguments had."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = {value.untyped_storage().data_ptr() for value in tree_flatten((args, kwargs))[0] if torch.is_tensor(value)}
        for value in filter(torch.is_tensor, tree_flatten(out)[0]):
            storage = value.untyped_storage()
            if storage.nbytes() and storage.data_ptr() not in given:
                self.made.append((func, storage.nbytes()))
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reading_makes_no_tensor_besides_those_of_the_model(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("whorl.model.shards.MAX_TOUCHED_BYTES", 100)
    weights = drawn_weights()
    write(tmp_path, weights, dtype=dtype)
    found = {name: torch.full_like(tensor, torch.nan) for name, tensor in weights.items()}
    with Allocations() as allocations:
        read_weights(tmp_path, found, layout=LAYOUT)
    assert allocations.made == []
    assert_equal(found, {name: tensor.to(dtype).float() for name, tensor in weights.items()})
