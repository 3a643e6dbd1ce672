import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_models import config_of, variants_of

from whorl.core.errors import ConfigError, DataError
from whorl.model import checkpoint
from whorl.model.families import Family


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def saved(tmp_path, tiny, filled):
    folder = tmp_path / "saved"
    checkpoint.save(folder, filled(tiny("qwen3")), family="qwen3")
    return folder


def rewrite(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(("family", "variant"), [(name, variant) for name in Family.names() for variant in variants_of(name)])
def test_loaded_weights_and_outputs_equal_the_saved_ones_to_the_bit(family, variant, tmp_path, filled, some_ids):
    model = filled(config_of(family, variants_of(family)[variant]))
    checkpoint.save(tmp_path, model, family=family, extra={"tokenizer": "abc"})
    loaded = checkpoint.load(tmp_path)
    assert (loaded.config, loaded.family, loaded.extra) == (model.config, family, {"tokenizer": "abc"})
    for (name, ours), (again, theirs) in zip(model.named_parameters(), loaded.model.named_parameters(), strict=True):
        assert name == again
        assert torch.equal(ours, theirs)
    assert torch.equal(model(some_ids(2, 9)), loaded.model(some_ids(2, 9)))


def test_saving_twice_gives_the_same_bytes(tmp_path, tiny, filled):
    for name in ("one", "two"):
        checkpoint.save(tmp_path / name, filled(tiny()), family="qwen3", extra={"b": 1, "a": 2})
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_loading_and_saving_again_gives_the_same_bytes(saved, tmp_path):
    checkpoint.save(tmp_path / "again", checkpoint.load(saved).model, family="qwen3")
    assert digests(saved) == digests(tmp_path / "again")


def test_a_bf16_model_is_still_saved_in_float32(saved, tmp_path):
    loaded = checkpoint.load(saved, dtype=torch.bfloat16)
    assert loaded.model.compute_dtype is torch.bfloat16
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    checkpoint.save(tmp_path / "again", loaded.model, family="qwen3")
    assert {weight.dtype for weight in load_file(tmp_path / "again" / "model.safetensors").values()} == {torch.float32}


def test_bf16_is_kept_where_it_is_asked_for(saved, tmp_path):
    loaded = checkpoint.load(saved, dtype=torch.bfloat16)
    checkpoint.save(tmp_path / "half", loaded.model, family="qwen3", storage=checkpoint.Storage(dtype=torch.bfloat16))
    public = load_file(tmp_path / "half" / "model.safetensors")
    assert {weight.dtype for weight in public.values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    again = checkpoint.load(tmp_path / "half", dtype=torch.bfloat16).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in loaded.model.state_dict().items())


def test_large_models_are_written_in_shards_that_load_back_to_the_bit(saved, tmp_path, some_ids):
    model = checkpoint.load(saved).model
    checkpoint.save(tmp_path / "cut", model, family="qwen3", storage=checkpoint.Storage(shard_bytes=5_000))
    assert len(list((tmp_path / "cut").glob("model-*-of-*.safetensors"))) > 3
    assert torch.equal(checkpoint.load(tmp_path / "cut").model(some_ids(1, 4)), model(some_ids(1, 4)))


def test_special_ids_are_those_of_the_tokenizer_that_was_used(saved, tmp_path):
    special = checkpoint.SpecialIds(bos=7, eos=8, pad=9)
    model = checkpoint.load(saved).model
    checkpoint.save(tmp_path / "own", model, family="qwen3", storage=checkpoint.Storage(special=special))
    assert json.loads((tmp_path / "own" / "config.json").read_text())["eos_token_id"] == 8


def test_public_files_say_what_loaders_ask_for(saved):
    config = json.loads((saved / "config.json").read_text())
    assert (config["architectures"], config["model_type"], config["torch_dtype"]) == (["Qwen3ForCausalLM"], "qwen3", "float32")
    generation = json.loads((saved / "generation_config.json").read_text())
    for fields in (config, generation):
        assert (fields["bos_token_id"], fields["eos_token_id"], fields["pad_token_id"]) == (0, 1, 2)


def test_tokenizer_files_travel_with_the_weights_and_nothing_else_does(tmp_path, tiny, filled):
    source = tmp_path / "tokenizer"
    source.mkdir()
    for name in ("tokenizer.json", "chat_template.jinja", "secret.txt"):
        (source / name).write_text(name)
    checkpoint.save(tmp_path / "out", filled(tiny()), family="qwen3", tokenizer_folder=source)
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "chat_template.jinja"
    assert not (tmp_path / "out" / "secret.txt").exists()


def test_missing_and_unexpected_weights_are_named(saved):
    def change(weights):
        del weights["model.norm.weight"]
        weights["model.extra"] = torch.zeros(1)

    rewrite(saved, change)
    with pytest.raises(DataError, match=r"missing: model\.norm\.weight; unexpected: model\.extra"):
        checkpoint.load(saved)


def test_a_misshapen_weight_is_named_with_both_shapes(saved):
    rewrite(saved, lambda weights: weights.update({"model.norm.weight": torch.zeros(7)}))
    with pytest.raises(DataError, match=r"model\.norm\.weight has shape \(7,\), want \(24,\)"):
        checkpoint.load(saved)


def test_a_tied_matrix_stored_twice_is_accepted(saved, some_ids):
    before = checkpoint.load(saved).model(some_ids(1, 4))
    rewrite(saved, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}))
    assert torch.equal(checkpoint.load(saved).model(some_ids(1, 4)), before)
    rewrite(saved, lambda weights: weights["lm_head.weight"].add_(1e-4))
    with pytest.raises(DataError, match="set tie_word_embeddings to false there"):
        checkpoint.load(saved)


def test_sharded_half_precision_folders_load(saved):
    weights = {name: weight.half() for name, weight in load_file(saved / "model.safetensors").items()}
    names = sorted(weights)
    place = {name: f"model-0000{1 + (number % 2)}-of-00002.safetensors" for number, name in enumerate(names)}
    for shard in set(place.values()):
        save_file({name: weights[name] for name in names if place[name] == shard}, saved / shard)
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
    (saved / "whorl.json").unlink()
    loaded = checkpoint.load(saved)
    assert loaded.extra == {}
    assert torch.equal(loaded.model.embed.weight, weights["model.embed_tokens.weight"].float())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "whorl.json"])
def test_a_truncated_file_is_named(saved, name):
    path = saved / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        checkpoint.load(saved)


def test_a_missing_file_is_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors"):
        checkpoint.load(saved)


def test_a_newer_format_is_refused(saved):
    (saved / "whorl.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(DataError, match="format 99, want 1"):
        checkpoint.load(saved)


def test_config_that_is_no_object_is_refused(saved):
    (saved / "config.json").write_text("[]")
    with pytest.raises(DataError, match="want a JSON object, got list"):
        checkpoint.load(saved)


def test_a_model_its_family_cannot_hold_writes_nothing(tmp_path, tiny, filled):
    with pytest.raises(ConfigError, match="use qwen3"):
        checkpoint.save(tmp_path / "out", filled(tiny("qwen3")), family="llama")
    assert not (tmp_path / "out").exists()
