import pytest
import torch
from toy_models import tiny_config

from whorl.model.config import ModelConfig
from whorl.model.heads import Pooler, Transform, pooled
from whorl.model.transformer import Transformer

# Two rows: documents of 2 and 1 places, then padding; one document of 4.
DOCS = torch.tensor([[0, 0, 1, -1], [0, 0, 0, 0]])
HIDDEN = torch.tensor([[[1.0], [3.0], [7.0], [99.0]], [[2.0], [4.0], [6.0], [12.0]]])


def test_the_first_place_stands_for_each_document_of_each_row():
    assert pooled(HIDDEN, DOCS, pooler="first").tolist() == [[1.0], [7.0], [2.0]]


def test_the_mean_stands_for_each_document_and_leaves_padding_out():
    assert pooled(HIDDEN, DOCS, pooler="mean").tolist() == [[2.0], [7.0], [6.0]]


def test_neighbouring_rows_of_one_document_number_are_different_documents():
    docs = torch.zeros(2, 4, dtype=torch.int64)
    assert pooled(HIDDEN, docs, pooler="mean").tolist() == [[27.5], [6.0]]
    assert len(pooled(HIDDEN, torch.full_like(docs, -1), pooler="mean")) == 0


def test_means_of_bf16_states_are_taken_in_float32():
    hidden = torch.full((1, 1000, 1), 1.01, dtype=torch.bfloat16)
    found = pooled(hidden, torch.zeros(1, 1000, dtype=torch.int64), pooler="mean")
    assert found.dtype == torch.bfloat16
    assert found.item() == hidden[0, 0].item()


def test_the_pooler_is_tanh_of_a_dense_layer():
    pooler = Pooler(tiny_config("bert", next_sentence=True))
    pooler.dense.bias.data.fill_(0.5)
    assert torch.equal(pooler(torch.ones(2, 24)), torch.full((2, 24), 0.5).tanh())


def test_the_transform_is_norm_of_activation_of_a_dense_layer():
    transform = Transform(tiny_config("modernbert"))
    transform.dense.weight.data.copy_(torch.eye(24))
    x = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.layer_norm(torch.nn.functional.gelu(x), (24,))
    torch.testing.assert_close(transform(x), wanted)


def test_classes_are_told_through_what_stands_before_the_output_matrix_where_there_is_no_dense_layer_of_their_own():
    model = Transformer(tiny_config("modernbert", classes=2))
    model.classifier.bias.data.copy_(torch.tensor([1.0, -1.0]))
    assert model.classify(torch.ones(1, 24)).tolist() == [[1.0, -1.0]]
    assert model.pooler is None


@pytest.mark.parametrize("axes", [{"classes": 2}, {"pooler_dense": True}])
def test_classes_of_a_sequence_that_nothing_stands_for_are_refused(axes):
    with pytest.raises(ValueError, match="nothing stands for a sequence; set pooler: first"):
        ModelConfig.model_validate({**dict(tiny_config()), **axes})


def test_a_model_without_classes_cannot_be_asked_for_them():
    with pytest.raises(AssertionError, match="built without classes"):
        Transformer(tiny_config("modernbert")).classify(torch.zeros(1, 24))
