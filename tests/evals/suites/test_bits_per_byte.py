import pytest

from whorl.core.errors import DataError
from whorl.core.events import Events
from whorl.core.seed import Seed
from whorl.evals.examinee import load_examinee
from whorl.evals.suites import Sitting, Suite
from whorl.evals.tally import Tally
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter
from whorl.tokens.tokenizer import Tokenizer


@pytest.fixture
def examined(ground):
    """Examine `chat` with a suite; gives the section and how much the tally counted."""

    def examine(ids=None, **config):
        suite = Suite.model_validate({"use": "bits_per_byte", "data": "ids.exam", **config})
        folders = {"ids": ids or ground.root / "ids", "clean": ground.root / "clean"}
        tally = Tally(Events("exam", []), suite.num_cases(1, folders))
        model = load_examinee("chat", ground.root / "chat", dtype="fp32")
        section = suite.examine([model], Sitting(folders, Seed(7), tally))
        assert tally.done == tally.total
        return section

    return examine


def write_exam(folder, tokenizer, texts):
    tokenizer.save(folder / TOKENIZER_FOLDER)
    with ShardWriter(folder / "exam", tokenizer) as writer:
        writer.add(list(texts), list(texts.values()))


def test_without_documents_only_models_are_scored(examined):
    assert [figure.of for figure in examined().figures] == ["chat", "untrained"]
    assert [figure.of for figure in examined(has_untrained=False).figures] == ["chat"]


def test_baselines_can_be_chosen_and_set(examined):
    section = examined(documents="clean", has_untrained=False, baselines=[{"use": "ngram", "order": 3}, {"use": "ngram"}])
    assert [figure.of for figure in section.figures] == ["chat", "ngram", "ngram"]
    assert len({figure.value for figure in section.figures}) == 3


def test_a_narrower_window_gives_less_context_and_says_so(examined):
    wide, narrow = examined(has_untrained=False).figures[0], examined(has_untrained=False, width=8).figures[0]
    assert (wide.how, narrow.how) == ("window of 96 tokens", "window of 8 tokens")
    assert wide.value != narrow.value
    assert (wide.n, wide.n_unit, wide.unit) == (12, "documents", "bits per byte")


def test_held_out_documents_are_other_documents(examined):
    held_out = examined(data="ids.held_out", has_untrained=False)
    assert held_out.title == "Bits per byte on held-out documents"
    assert held_out.figures[0].value != examined(has_untrained=False).figures[0].value


def test_a_part_without_documents_is_an_error(examined, ground, tmp_path):
    write_exam(tmp_path, Tokenizer.load(ground.root / "chat"), {})
    with pytest.raises(DataError, match=r"'ids\.exam' has no documents"):
        examined(ids=tmp_path)


def test_an_empty_document_is_an_error_that_names_it(examined, ground, tmp_path):
    write_exam(tmp_path, Tokenizer.load(ground.root / "chat"), {"full": "Some text.", "void": ""})
    with pytest.raises(DataError, match="document void is empty"):
        examined(ids=tmp_path)


def test_tokens_of_another_vocabulary_are_refused(examined, tmp_path):
    write_exam(tmp_path, learn_tokenizer(["another text another text"] * 3, size=270), {"full": "Some text."})
    with pytest.raises(DataError, match="encode the documents with the model's tokenizer"):
        examined(ids=tmp_path)
