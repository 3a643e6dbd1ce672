import pytest

from whorl.core.errors import DataError
from whorl.corpus.sources.hf_datasets.layout import card_of, licence_of, split_files

FILES = ["README.md", "de/train-00000-of-00001.parquet", "en/dev.jsonl", "en/train.jsonl", "en/sub/train.jsonl", "extra.jsonl"]


def configured(data_files, **more):
    return {"configs": [{"config_name": "default", "data_files": data_files, **more}]}


@pytest.mark.parametrize(
    "data_files",
    [
        "en/*.jsonl",
        ["en/*.jsonl"],
        [{"split": "train", "path": "en/*.jsonl"}],
        [{"split": "train", "path": ["en/dev.jsonl", "./en/train.jsonl"]}],
        {"train": "en/*.jsonl"},
        {"train": ["en/{dev,train}.jsonl"]},
        "en/[dt]*.jsonl",
        "en/[!s]*.jsonl",
        "en/???*.jsonl",
    ],
)
def test_every_spelling_of_data_files_means_the_same(data_files):
    assert split_files(FILES, configured(data_files), None, "train") == ["en/dev.jsonl", "en/train.jsonl"]


def test_two_stars_cross_folders():
    assert split_files(FILES, configured("en/**/train.jsonl"), None, "train") == ["en/sub/train.jsonl", "en/train.jsonl"]
    assert split_files(FILES, configured("**.jsonl"), None, "train") == [
        path for path in sorted(FILES) if path.endswith("jsonl")
    ]


def test_splits_of_a_card_keep_their_own_names():
    card = configured([{"split": "small", "path": "en/*"}, {"split": "odd", "path": "extra.jsonl"}])
    assert split_files(FILES, card, "default", "odd") == ["extra.jsonl"]
    assert split_files(FILES, card, None, "all") == ["en/dev.jsonl", "en/train.jsonl", "extra.jsonl"]
    with pytest.raises(DataError, match=r"no split 'train'; known: odd, small; or set split: all"):
        split_files(FILES, card, None, "train")


def test_the_default_configuration_is_the_marked_one_or_the_only_one():
    one, two = {"config_name": "one", "data_files": "a"}, {"config_name": "two", "data_files": "b"}
    assert split_files(["a", "b"], {"configs": [one]}, None, "train") == ["a"]
    assert split_files(["a", "b"], {"configs": [one, {**two, "default": True}]}, None, "train") == ["b"]
    with pytest.raises(DataError, match="has configs one, two; set config"):
        split_files(["a", "b"], {"configs": [one, two]}, None, "train")
    with pytest.raises(DataError, match=r"no config 'tow'; did you mean 'two'\?"):
        split_files(["a", "b"], {"configs": [one, two]}, "tow", "train")


@pytest.mark.parametrize(
    ("paths", "split", "chosen"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "x.csv"], "train", slice(0, 2)),
        (["data/my.split-00000-of-00001.parquet"], "my.split", slice(0, 1)),
        (["a/training/x.csv", "a/eval/x.csv", "notes.csv"], "train", slice(0, 1)),
        (["a/training/x.csv", "a/eval/x.csv", "notes.csv"], "test", slice(1, 2)),
        (["my_dev_file.csv", "trainer.csv"], "validation", slice(0, 1)),
        (["one.csv", "contest.csv"], "train", slice(0, 2)),
    ],
)
def test_names_tell_the_split_where_no_card_does(paths, split, chosen):
    assert split_files(paths, {}, None, split) == sorted(paths[chosen])


def test_a_data_folder_bounds_what_is_looked_at():
    card = {"configs": [{"config_name": "default", "data_dir": "en"}]}
    assert split_files(FILES, card, None, "validation") == ["en/dev.jsonl"]


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(DataError, match="split 'train' has no files among the 6"):
        split_files(FILES, configured("fr/*"), None, "train")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("license: mit", "mit"),
        ("license: [mit, apache-2.0]", "mit, apache-2.0"),
        ("license: other\nlicense_name: my-terms", "my-terms"),
        ("license: other", "other"),
        ("language: en", None),
        ("- a list", None),
    ],
)
def test_the_licence_is_what_the_card_says(card, licence):
    assert licence_of(card_of(f"---\n{card}\n---\n# Title\n", "README.md")) == licence


def test_a_readme_without_a_card_says_nothing_and_a_broken_one_is_an_error():
    assert card_of("# Title\n---\nlicense: mit\n---\n", "README.md") == {}
    assert card_of("", "README.md") == {}
    assert card_of("---\r\nlicense: mit\r\n---\r\n", "README.md") == {"license": "mit"}
    with pytest.raises(DataError, match=r"README.md: the card at its head is not YAML"):
        card_of("---\na: [b\n---\n", "README.md")
