import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, hashed_rows
from whorl.text.linear import LinearClassifier
from whorl.text.logistic import Calibration, fit_logistic

WANTED = ["the river walks to the sea", "a lamp in the night of the river", "stone and river and sea", "the sea at night"]
OTHER = ["click here to log in now", "log in to see your cart", "click to accept all cookies", "your cart is empty, click"]
FEATURES = Features(bits=14)


def batch(texts):
    return TextBatch(pa.array(texts, pa.large_string()))


@pytest.fixture(scope="module")
def classifier():
    rows = hashed_rows(batch([*WANTED, *OTHER]), FEATURES)
    labels = np.array([True] * len(WANTED) + [False] * len(OTHER))
    fit = fit_logistic(rows, labels, np.ones(len(labels)), num_places=1 << FEATURES.bits, l2=1e-3)
    return LinearClassifier.of(FEATURES, fit, Calibration(0.5, 0.1))


def test_texts_like_the_positives_score_above_texts_like_the_negatives(classifier):
    scores = classifier.scores(batch(["a river to the sea", "click here, your cart"]))
    assert scores[0] > 0.5 > scores[1]


def test_a_score_is_the_calibrated_margin(classifier):
    margins = classifier.margins(batch(WANTED))
    assert classifier.scores(batch(WANTED)) == pytest.approx(1 / (1 + np.exp(-(0.5 * margins + 0.1))))


def test_a_text_without_words_gets_the_score_of_the_bias(classifier):
    assert classifier.margins(batch([""]))[0] == classifier.bias


@given(texts=st.lists(st.text(max_size=50), max_size=5))
def test_a_score_does_not_depend_on_the_batch(classifier, texts):
    together = classifier.scores(batch(texts))
    assert [classifier.scores(batch([text]))[0] for text in texts] == together.tolist()
    assert ((together >= 0) & (together <= 1)).all()


def test_a_stored_classifier_gives_the_same_scores(classifier, tmp_path):
    classifier.save(tmp_path)
    loaded = LinearClassifier.load(tmp_path)
    texts = batch([*WANTED, *OTHER, ""])
    assert np.array_equal(loaded.scores(texts), classifier.scores(texts))
    assert loaded.features == FEATURES


def test_saving_twice_gives_the_same_bytes(classifier, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        classifier.save(tmp_path / name)
    for file in ("classifier.json", "weights.npy"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_words_have_the_weight_that_scoring_gives_them(classifier):
    words = ["river", "cookies", "unheard"]
    weights = classifier.word_weights(words)
    assert weights == pytest.approx(classifier.margins(batch(words)) - classifier.bias)
    assert weights[0] > 0 > weights[1]


def test_without_word_features_no_word_has_a_weight():
    fit = fit_logistic(
        hashed_rows(batch(["abc", "xyz"]), Features(words=0, chars=2)), np.array([True, False]), np.ones(2), num_places=1 << 20
    )
    assert LinearClassifier.of(Features(words=0, chars=2), fit).word_weights(["abc"]).tolist() == [0]


def altered(folder, **changes):
    path = folder / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 9}, "format 9"),
        ({"features": {"bits": 13}}, "want format 1, float32"),
        ({"features": {"bits": 99}}, "not a classifier"),
        ({"places_of_probe": "0"}, "split in another way"),
        ({"calibration": {"slope": 1}}, "not a classifier"),
        ({"bias": None}, "not a classifier"),
    ],
)
def test_an_altered_folder_is_refused(classifier, tmp_path, change, says):
    classifier.save(tmp_path)
    altered(tmp_path, **change)
    with pytest.raises(DataError, match=says):
        LinearClassifier.load(tmp_path)


def test_a_folder_without_a_classifier_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a classifier"):
        LinearClassifier.load(tmp_path)


def test_weights_that_are_pickled_are_refused(classifier, tmp_path):
    classifier.save(tmp_path)
    np.save(tmp_path / "weights.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a classifier"):
        LinearClassifier.load(tmp_path)
