import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from toy_models import filled_model, tiny_config

from whorl.core.errors import ConfigError, DataError
from whorl.model import checkpoint
from whorl.model.count import parameters
from whorl.model.families import Family
from whorl.model.mask import MaskSpec
from whorl.model.transformer import Transformer

BERT = Family.find("bert", frozenset())
BASE = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "pad_token_id": 0,
    "gradient_checkpointing": False,
}


def test_bert_base_reads_as_published():
    config = BERT.from_hub(BASE)
    assert (config.width, config.depth, config.heads, config.head_dim, config.mlp_width) == (768, 12, 12, 64, 3072)
    assert (config.norm, config.norm_at, config.positions, config.segments, config.causal) == (
        "layer",
        "post",
        "learned",
        2,
        False,
    )
    # 110 million, as the paper says, and the layer before the vocabulary: 108,891,648 + 590,592 + 1,536 + 30,522
    assert parameters(config).total == 108_891_648 + 622_650


def test_six_layers_are_the_hand_worked_shape():
    config = Family.model_validate({"use": "bert", "depth": 6}).configure(4096, 512)
    assert (config.width, config.heads, config.mlp_width, config.segments, config.zero_outputs) == (384, 6, 1536, 2, False)


def test_heads_follow_from_what_is_asked_of_the_model():
    gaps, pairs, classes = (tiny_config("bert", **dials) for dials in ({}, {"next_sentence": True}, {"classes": 5}))
    assert (gaps.pooler, gaps.classes, gaps.head_transform) == ("none", 0, True)
    assert (pairs.pooler, pairs.classes, pairs.head_transform) == ("first", 2, True)
    assert (classes.pooler, classes.classes, classes.head_transform) == ("first", 5, False)
    assert [BERT.to_hub(config)["architectures"] for config in (gaps, pairs, classes)] == [
        ["BertForMaskedLM"],
        ["BertForPreTraining"],
        ["BertForSequenceClassification"],
    ]
    with pytest.raises(ValidationError, match="with classes=3 leave it out"):
        Family.model_validate({"use": "bert", "depth": 2, "classes": 3, "next_sentence": True})


def test_names_of_the_first_files_are_understood(tmp_path):
    """Checkpoints of 2018: gamma and beta, the whole pretraining head, position numbers, a second copy of the embedding."""
    model = filled_model(tiny_config("bert", next_sentence=True))
    checkpoint.save(tmp_path, model, family="bert")
    weights = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value.clone()
        for name, value in weights.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(32.0)[None]
    old["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"].clone()
    save_file(old, tmp_path / "model.safetensors")
    found = checkpoint.load(tmp_path).model.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())


def test_a_file_of_the_whole_pretraining_serves_who_only_fills_gaps(tmp_path):
    whole = filled_model(tiny_config("bert", next_sentence=True))
    checkpoint.save(tmp_path, whole, family="bert")
    text = (tmp_path / "config.json").read_text().replace("BertForPreTraining", "BertForMaskedLM")
    (tmp_path / "config.json").write_text(text)
    found = checkpoint.load(tmp_path).model
    assert (found.config.classes, found.pooler, found.classifier) == (0, None, None)
    ids = torch.tensor([[5, 9, 60, 7]])
    assert torch.equal(found.head(found(ids)), whole.head(whole(ids)))


def test_segments_are_told_apart_and_default_to_the_first():
    model, ids = filled_model(tiny_config("bert")), torch.tensor([[5, 9, 60, 7]])
    first, second = (model(ids, segments=torch.full_like(ids, number)) for number in (0, 1))
    assert torch.equal(model(ids), first)
    assert not torch.allclose(first, second, atol=1e-3)


def test_a_packed_pair_is_judged_as_if_it_were_alone():
    model = filled_model(tiny_config("bert", next_sentence=True))
    ids, docs = torch.tensor([[0, 9, 1, 7, 1, 0, 8, 1, 30, 31, 1, 0]]), torch.tensor([[0] * 5 + [1] * 6 + [-1]])
    positions, segments = torch.tensor([[*range(5), *range(6), 0]]), torch.tensor([[0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0]])
    hidden = model(ids, mask=MaskSpec(docs=docs), positions=positions, segments=segments)
    alone = torch.cat([model(ids[:, part], segments=segments[:, part])[:, 0] for part in (slice(0, 5), slice(5, 11))])
    torch.testing.assert_close(model.classify(hidden[0, [0, 5]]), model.classify(alone))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False"),
        ({"architectures": ["BertForTokenClassification"]}, "BertForTokenClassification"),
        ({"hidden_act": "mish"}, "hidden_act='mish'"),
        ({"num_attention_heads": 7}, "num_attention_heads=7 do not fill hidden_size=768"),
    ],
)
def test_what_the_network_cannot_do_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        BERT.from_hub({**BASE, **fields})


@pytest.mark.parametrize(
    ("axis", "value", "hint"),
    [
        ("tied", False, "tied=False; no family"),
        ("causal", True, "causal=True; no family"),
        ("norm_at", "pre", "norm_at='pre'; no family"),
        ("segments", 0, "segments=0; no family"),
        ("pooler", "first", "head_transform=True, pooler=first, classes=0 together"),
    ],
)
def test_axes_the_layout_cannot_hold_are_refused(axis, value, hint):
    config = tiny_config("bert").model_copy(update={axis: value})
    with pytest.raises(ConfigError, match=f"the bert layout cannot hold {hint}"):
        BERT.to_hub(config)


def test_heads_that_do_not_fill_the_width_are_refused():
    with pytest.raises(ConfigError, match="width=100 is not a multiple of heads=3"):
        Family.model_validate({"use": "bert", "depth": 2, "width": 100, "heads": 3}).configure(61, 32)


def test_the_count_is_that_of_the_model():
    for dials in ({}, {"next_sentence": True}, {"classes": 7}):
        config = tiny_config("bert", **dials)
        assert parameters(config).total == sum(p.numel() for p in Transformer(config).parameters())
