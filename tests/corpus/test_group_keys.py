import pyarrow as pa
import pytest

from whorl.corpus.group_keys import group_keys

DOCUMENTS = pa.table(
    {
        "id": ["1", "2", "3"],
        "source": ["a.jsonl", "a.jsonl", None],
        "url": ["HTTPS://x.org/p/q?r=1#s", None, None],
    }
)


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("page", ["x.org/p/q", "a.jsonl", "3"]),
        ("url", ["HTTPS://x.org/p/q?r=1#s", "2", "3"]),
        ("source", ["a.jsonl", "a.jsonl", "3"]),
        ("id", ["1", "2", "3"]),
    ],
)
def test_documents_are_kept_together_by_what_the_recipe_names(group_by, keys):
    assert group_keys(DOCUMENTS, group_by).to_pylist() == keys
