import pytest
import torch

from whorl.core.errors import ArtifactError
from whorl.core.seed import Seed
from whorl.evals.examinee import load_examinee, untrained


def test_an_untrained_model_has_the_same_shape_and_other_weights(ground):
    trained = load_examinee("chat", ground.root / "chat", dtype="fp32")
    fresh = untrained(trained, seed=Seed(1))
    before, after = trained.engine.model.state_dict(), fresh.engine.model.state_dict()
    assert {name: value.shape for name, value in before.items()} == {name: value.shape for name, value in after.items()}
    assert not torch.equal(before["embed.weight"], after["embed.weight"])
    assert (fresh.name, fresh.renderer) == ("untrained", trained.renderer)


def test_untrained_weights_follow_the_seed(ground):
    trained = load_examinee("chat", ground.root / "chat", dtype="fp32")
    first, again, other = (untrained(trained, seed=Seed(n)).engine.model.head_weight for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_half_precision_is_kept_by_the_untrained_model(ground):
    fresh = untrained(load_examinee("chat", ground.root / "chat", dtype="bf16"), seed=Seed(1))
    assert fresh.engine.model.compute_dtype == fresh.engine.model.head_weight.dtype == torch.bfloat16


def test_a_checkpoint_without_its_tokenizer_cannot_sit_an_exam(ground, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((ground.root / "chat" / name).read_bytes())
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        load_examinee("bare", tmp_path, dtype="fp32")
