"""Documents packed into rows are trained and scored as if each were alone, on every attention backend that runs here.

`varlen` runs with torch's CUDA kernel replaced by its definition; `flex` has no backward pass on a CPU.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from varlen_by_definition import by_definition

from whorl.model import varlen
from whorl.model.attend import BACKENDS
from whorl.model.cross_entropy import chunked_cross_entropy
from whorl.model.mask import PADDING, MaskSpec

WIDTH = 12
TRAINING = ("sdpa", "matmul", "varlen")
SHAPES = {  # axes of a tiny model with grouped queries
    "causal": {},
    "windows": {"windows": (3, None)},
    "two-way": {"causal": False},
    "two-way windows": {"causal": False, "windows": (None, 2)},
}
NEAR = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def varlen_here(monkeypatch):
    monkeypatch.setattr(varlen, "_varlen", lambda: (by_definition, True))
    monkeypatch.setattr("whorl.model.attend.varlen_fault", lambda device, dtype: "")


@pytest.fixture(scope="module")
def models(tiny, filled):
    return {name: filled(tiny("llama").model_copy(update=axes)) for name, axes in SHAPES.items()}


class Row:
    """Places of one row, laid out by hand."""

    def __init__(self):
        self.ids, self.targets, self.docs, self.positions = [], [], [], []

    def add(self, ids, targets):
        self.docs += [max(self.docs, default=-1) + 1] * len(ids)
        self.ids += ids
        self.targets += targets
        self.positions += range(len(ids))

    def padded(self, width):
        empty = width - len(self.ids)
        return (
            self.ids + [0] * empty,
            self.targets + [0] * empty,
            self.docs + [PADDING] * empty,
            self.positions + [0] * empty,
        )


def packed(documents):
    """Rows of WIDTH, each document in the last row if it fits there, else in a new one; as four tensors (b t)."""
    rows = [Row()]
    for ids, targets in documents:
        if len(rows[-1].ids) + len(ids) > WIDTH:
            rows.append(Row())
        rows[-1].add(ids, targets)
    return tuple(torch.tensor(part) for part in zip(*(row.padded(WIDTH) for row in rows), strict=True))


def summed(model, ids, targets, docs, positions, spec=None):
    hidden = model(ids, mask=spec or MaskSpec(docs=docs), positions=positions).flatten(0, 1)
    weights = (docs != PADDING).float().flatten()
    return chunked_cross_entropy(hidden, model.head_weight, targets=targets.flatten(), weights=weights).total


def unpacked_mean(model, documents):
    """Losses of documents run one at a time, without a mask of their own, weighted by their tokens."""
    total = sum(
        summed(model, *(torch.tensor([part]) for part in (*document, [0] * n, list(range(n)))), MaskSpec())
        for document in documents
        for n in [len(document[0])]
    )
    return total / sum(len(ids) for ids, _ in documents)


def drawn_documents():
    token = st.integers(0, 60)
    document = st.integers(1, WIDTH).flatmap(lambda n: st.tuples(*[st.lists(token, min_size=n, max_size=n)] * 2))
    return st.lists(document, min_size=2, max_size=7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", TRAINING)
@settings(max_examples=8)
@given(documents=drawn_documents())
def test_packed_loss_is_the_token_weighted_unpacked_loss_and_so_is_its_gradient(models, shape, backend, documents):
    model = models[shape]
    model.backend = "sdpa"
    wanted = unpacked_mean(model, documents)
    model.backend = backend
    found = summed(model, *packed(documents)) / sum(len(ids) for ids, _ in documents)
    torch.testing.assert_close(found, wanted, **NEAR)
    parameters = list(model.parameters())
    for ours, theirs in zip(torch.autograd.grad(found, parameters), torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


DOCUMENTS = [
    ([n % 61 for n in range(7 * k, 7 * k + length)], [(5 * n) % 61 for n in range(length)])
    for k, length in enumerate((5, 4, 12, 1, 3, 2, 6))
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_packed_documents_score_as_if_each_were_alone(models, shape, backend):
    model = models[shape]
    with torch.no_grad():
        model.backend = "sdpa"
        wanted = unpacked_mean(model, DOCUMENTS)
        model.backend = backend
        found = summed(model, *packed(DOCUMENTS)) / sum(len(ids) for ids, _ in DOCUMENTS)
    torch.testing.assert_close(found, wanted, **NEAR)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_document_feels_what_another_in_its_row_says(models, shape, backend, dtype, monkeypatch):
    model = models[shape]
    model.backend = backend
    monkeypatch.setattr(model, "compute_dtype", dtype)
    ids, _, docs, positions = packed(DOCUMENTS)
    other = torch.where(docs == 0, (ids + 17) % 61, ids)  # the first document of every row says something else
    with torch.no_grad():
        before, after = (model(one, mask=MaskSpec(docs=docs), positions=positions) for one in (ids, other))
    rest = (docs > 0).nonzero(as_tuple=True)
    assert torch.equal(before[rest], after[rest])
    assert not torch.equal(before[docs == 0], after[docs == 0])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_leak_between_documents_would_be_noticed(models, shape):
    model, rows = models[shape], packed(DOCUMENTS)
    model.backend = "sdpa"
    with torch.no_grad():
        wanted = unpacked_mean(model, DOCUMENTS)
        whole_rows = MaskSpec(docs=torch.where(rows[2] == PADDING, PADDING, 0))  # a mask of ones where there is text
        leaky = summed(model, *rows, whole_rows) / sum(len(ids) for ids, _ in DOCUMENTS)
    assert (leaky - wanted).abs() > 100 * NEAR["atol"]
