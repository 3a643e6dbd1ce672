import base64
import json
import shutil

import pytest
from pydantic import ValidationError
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from whorl.core.canonical import plain
from whorl.core.errors import ConfigError, DataError
from whorl.core.records import Message
from whorl.core.stage import Stage
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TokenShards
from whorl.tokens.stages.encode import Encode
from whorl.tokens.stages.load import Load
from whorl.tokens.tokenizer import Tokenizer

END = "<|endoftext|>"


@pytest.fixture
def folder(tmp_path):
    """A vocabulary in GPT-2's layout, as its makers would publish it."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=letters, show_progress=False)
    backend.train_from_iterator(["the whorl turns the spindle"] * 3, trainer)
    backend.add_special_tokens([AddedToken(END, special=True)])
    where = tmp_path / "published"
    where.mkdir()
    backend.save(str(where / "tokenizer.json"))
    (where / "tokenizer_config.json").write_text(json.dumps({"bos_token": END, "eos_token": END}))
    return where


@pytest.fixture
def ranks(tmp_path):
    lines = [base64.b64encode(bytes([byte])) + b" %d" % byte for byte in range(256)]
    path = tmp_path / "small.tiktoken"
    path.write_bytes(b"\n".join([*lines, base64.b64encode(b"th") + b" 256", base64.b64encode(b"the") + b" 257"]))
    return path


def load(make_job, events=None, **fields):
    job = make_job("load", {}, events=events)
    stage = Load.model_validate(fields)
    return stage.run(job), job.folder


def test_a_published_folder_becomes_a_tokenizer_of_the_house(make_job, folder):
    counts, made = load(make_job, path=folder.name)
    tokenizer = Tokenizer.load(made)
    theirs = Backend.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("the whorl") == theirs.encode("the whorl").ids
    size = theirs.get_vocab_size()
    assert counts == {
        "vocabulary": size + 5,
        "lossless": True,
        "bos": END,
        "end": END,
        "pad": "<|pad|>",
        **{f"role_{role}": f"<|{role}|>" for role in ("system", "user", "assistant", "tool")},
        "added_tokens": 5,
        "added": "<|pad|> <|system|> <|user|> <|assistant|> <|tool|>",
        "encoder": "gigatoken",
    }
    rendered = Renderer(tokenizer).render([Message("user", "the"), Message("assistant", "whorl")])
    assert tokenizer.decode(rendered.ids) == f"{END}<|user|>the{END}<|assistant|>whorl{END}"


def test_documents_are_encoded_with_what_was_loaded(make_job, as_artifact, write_documents, folder, tmp_path):
    _, made = load(make_job, path=folder.name)
    documents = write_documents(tmp_path / "documents", [[("a", f"the {END} whorl", "train")]])
    inputs = {"clean": as_artifact("documents", documents), "vocab": as_artifact("tokenizer", made)}
    job = make_job("ids", inputs)
    Encode.model_validate({"from": "clean", "tokenizer": "vocab"}).run(job)
    tokenizer = Tokenizer.load(made)
    ids = TokenShards.open(job.folder, "train").doc(0).tolist()
    assert ids == [tokenizer.end, *tokenizer.encode(f"the {END} whorl"), tokenizer.end]
    assert ids.count(tokenizer.end) == 2


def test_a_vocabulary_without_a_chat_gets_no_role_tokens(make_job, folder):
    counts, _ = load(make_job, path=folder.name, chat=False)
    assert (counts["added_tokens"], counts["added"]) == (1, "<|pad|>")
    assert not any(name.startswith("role_") for name in counts)


def test_a_mask_is_taken_from_its_config_added_or_named(make_job, folder):
    assert "mask" not in load(make_job, path=folder.name)[0]
    counts, made = load(make_job, path=folder.name, mask="<|mask|>")
    tokenizer = Tokenizer.load(made)
    assert (counts["mask"], counts["added_tokens"], tokenizer.decode([tokenizer.mask])) == ("<|mask|>", 6, "<|mask|>")
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.add_special_tokens([AddedToken("[MASK]", special=True)])
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": END, "eos_token": END, "mask_token": "[MASK]"}))
    for fields in ({}, {"mask": "[MASK]"}):
        counts, made = load(make_job, path=folder.name, **fields)
        assert (counts["mask"], Tokenizer.load(made).mask) == ("[MASK]", backend.token_to_id("[MASK]"))
    with pytest.raises(DataError, match="would be both bos and mask"):
        load(make_job, path=folder.name, mask=END)
    with pytest.raises(DataError, match="mask: '<m>' is no special token"):
        load(make_job, path=folder.name, mask="<m>")


def test_a_lossy_vocabulary_warns(make_job, folder):
    data = json.loads((folder / "tokenizer.json").read_text())
    data["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    events = []
    counts, _ = load(make_job, events, path=folder.name)
    assert not counts["lossless"]
    assert (counts["encoder"], counts["encoder_reason"]) == ("tokenizers", "no parity test covers the normalizer Lowercase")
    assert "does not give every text back" in next(event["message"] for event in events if event["kind"] == "warning")


def test_a_rank_file_takes_its_split_from_the_recipe(make_job, ranks):
    counts, made = load(make_job, path=ranks.name, split="cl100k", special={END: 300}, bos=END, end=END)
    tokenizer = Tokenizer.load(made)
    assert tokenizer.encode("then") == [257, ord("n")]
    assert (tokenizer.bos, counts["vocabulary"], counts["bos"]) == (300, 306, END)
    assert load(make_job, path=ranks.name, pattern=r"\w+|.|\n")[0]["encoder"] == "tokenizers"


def test_a_rank_file_without_a_split_is_an_error(make_job, ranks):
    with pytest.raises(ConfigError, match=r"rank file, which does not say how text is split.* set split \(qwen2, gpt2"):
        load(make_job, path=ranks.name)


def test_a_split_for_a_file_that_says_it_itself_is_an_error(make_job, folder):
    with pytest.raises(ConfigError, match=r"tokenizer\.json says itself how text is split; leave out split, special"):
        load(make_job, path=folder.name, split="gpt2", special={"<|x|>": 3})


def test_a_path_to_nothing_is_an_error(make_job):
    with pytest.raises(DataError, match=r"no tokenizer\.json and no \*\.tiktoken file there"):
        load(make_job, path="absent")


def test_what_the_files_hold_is_hashed_and_where_they_are_is_not(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    one, other = (Stage.model_validate({"use": "tokens.load", "path": path}) for path in ("published", "moved"))
    assert plain(one, hashed_only=True) == plain(other, hashed_only=True)
    assert one.raw_inputs(tmp_path) == other.raw_inputs(tmp_path)
    assert set(one.raw_inputs(tmp_path)) == {"path.vocabulary", "path.config"}
    before = other.raw_inputs(tmp_path)
    (tmp_path / "moved" / "tokenizer_config.json").write_text("{}")
    assert other.raw_inputs(tmp_path) != before


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"split": "gpt2", "pattern": "x"}, "split or pattern, not both"),
        ({"chat": False, "roles": {"user": "<|u|>"}}, "chat is false"),
        ({"roles": {"narrator": "<|n|>"}}, "system"),
        ({"pattern": ""}, "at least 1 character"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Load.model_validate({"path": "x", **fields})
