import pytest
import torch

from whorl.core.errors import ResourceError
from whorl.model.parallel import pick_dtype, set_threads, torch_dtype


@pytest.mark.parametrize(
    ("able", "name"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")]
)
def test_auto_takes_bf16_only_where_the_cpu_multiplies_it(able, name, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, **able})
    choice = pick_dtype("auto")
    assert choice.name == name
    assert ("has no" in choice.why) == (name == "fp32")


@pytest.mark.parametrize("name", ["bf16", "fp32"])
def test_an_asked_for_precision_is_kept_whatever_the_hardware(name, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert pick_dtype(name).name == name
    assert torch_dtype(name) in (torch.bfloat16, torch.float32)


def test_threads_are_set_and_none_is_refused():
    try:
        set_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        set_threads(1)
    with pytest.raises(ResourceError, match="threads=0"):
        set_threads(0)
