import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.model.mask import PADDING, MaskSpec, visible

CPU = torch.device("cpu")


def drawn(seen):
    return ["".join("x" if cell else "." for cell in row) for row in seen.tolist()]


def test_causal_sight_is_the_lower_triangle():
    assert drawn(visible(MaskSpec(causal=True), 3, device=CPU)[0]) == ["x..", "xx.", "xxx"]


def test_window_counts_the_own_position():
    assert drawn(visible(MaskSpec(causal=True, window=2), 4, device=CPU)[0]) == ["x...", "xx..", ".xx.", "..xx"]


def test_documents_of_a_packed_row_do_not_see_each_other_and_padding_sees_padding():
    docs = torch.tensor([[0, 0, 1, PADDING, PADDING]])
    assert drawn(visible(MaskSpec(causal=True, docs=docs), 5, device=CPU)[0]) == ["x....", "xx...", "..x..", "...x.", "...xx"]


def test_new_columns_see_the_cached_ones_of_their_document():
    past_docs, docs = torch.tensor([[PADDING, 0, 0]]), torch.tensor([[0, 0]])
    seen = visible(MaskSpec(causal=True, docs=docs), 2, device=CPU, past=3, past_docs=past_docs)
    assert drawn(seen[0]) == [".xxx.", ".xxxx"]


def test_two_way_sight_ends_at_the_document():
    docs = torch.tensor([[0, 0, 1]])
    assert drawn(visible(MaskSpec(causal=False, docs=docs), 3, device=CPU)[0]) == ["xx.", "xx.", "..x"]


@given(
    docs=st.lists(st.integers(-1, 3), min_size=1, max_size=12),
    window=st.none() | st.integers(1, 12),
    causal=st.booleans(),
)
def test_every_position_sees_itself_so_no_softmax_is_empty(docs, window, causal):
    seen = visible(MaskSpec(causal, window, torch.tensor([docs])), len(docs), device=CPU)
    assert bool(seen[0].diagonal().all())
