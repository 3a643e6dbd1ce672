"""FlexAttention is the reference's function; on a CPU, which has no backward pass for it, it refuses to train."""

import pytest
import torch
from toy_heads import CPU, attended, drawn_heads

from whorl.core.errors import ResourceError
from whorl.model.attend import build_attend
from whorl.model.flex import FlexAttend
from whorl.model.mask import MaskSpec, Scene
from whorl.model.sdpa import SdpaAttend

SCENES = {  # heads, kv_heads, queries, past, causal, window, documents
    "packed": (4, 2, 20, 0, True, None, True),
    "decoding": (4, 4, 3, 9, True, 4, True),
    "two-way": (6, 1, 20, 0, False, 5, True),
    "many blocks": (2, 2, 300, 0, True, 40, True),
    "plain": (2, 1, 17, 0, True, None, False),
}


@pytest.mark.parametrize("name", SCENES)
def test_flex_equals_sdpa_forward(name):
    heads, kv_heads, time, past, causal, window, is_packed = SCENES[name]
    numbers = torch.arange(2 * (past + time)).view(2, -1) // 7
    spec = MaskSpec(causal=causal, window=window, docs=numbers[:, past:] if is_packed else None)
    scene = Scene(spec, time, CPU, past=past, past_docs=numbers[:, :past] if is_packed else None)
    parts = drawn_heads(2, heads, kv_heads, (time, past + time))
    torch.testing.assert_close(attended(FlexAttend(), parts, scene), attended(SdpaAttend(), parts, scene))


def test_flex_refuses_gradients_on_a_cpu_and_says_what_to_take():
    parts = [part.requires_grad_() for part in drawn_heads(1, 2, 2, (4, 4))]
    with pytest.raises(ResourceError, match="no backward pass on a CPU; want attention: sdpa"):
        attended(FlexAttend(), parts, Scene(MaskSpec(causal=True), 4, CPU))
    with pytest.raises(ResourceError, match="no backward pass"):
        build_attend("flex", device=CPU, dtype=torch.float32, trains=True)
    assert isinstance(build_attend("flex", device=CPU, dtype=torch.float32), FlexAttend)
