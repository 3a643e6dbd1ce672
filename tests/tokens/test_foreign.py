"""Vocabularies in the layouts of well-known models, small: GPT-2, Llama 2, Llama 3, BERT and T5."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from whorl.core.errors import ArtifactError, DataError
from whorl.core.records import Message
from whorl.tokens.foreign import Names, Source, bring_in, found_files, read_hugging_face
from whorl.tokens.renderer import Renderer
from whorl.tokens.splits import SPLITS
from whorl.tokens.tokenizer import VOCABULARY_FILE, Tokenizer
from whorl.tokens.vocabulary import Vocabulary

TEXTS = [
    "The spindle's whorl turns; it's 12345 o'clock.\n\n    return x\r\n",
    "Na\u00efve d\u00e9j\u00e0, \u6771\u4eac <s></s><unk> [CLS][SEP][PAD] <|endoftext|>",
] * 4
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def special(*tokens):
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def gpt2():
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=330, initial_alphabet=LETTERS, show_progress=False))
    backend.add_special_tokens(special("<|endoftext|>"))
    backend.enable_truncation(5)
    return backend, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}


def llama3():
    """With tokens that are looked for in text although they are not special, and words taken whole."""
    backend = Backend(models.BPE(ignore_merges=True))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLITS["llama3"]), "isolated"), level])
    backend.decoder = decoders.ByteLevel()
    tokens = special("QUUX", "<|begin|>", "<|stop|>", "<|user|>")
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=tokens, initial_alphabet=LETTERS, show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    backend.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return backend, {"bos_token": "<|begin|>", "eos_token": {"__type": "AddedToken", "content": "<|stop|>"}}


def llama2():
    seen = Backend(models.BPE())
    seen.pre_tokenizer = pre_tokenizers.Metaspace()
    bytes_written = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_written]
    seen.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=340, special_tokens=tokens, show_progress=False))
    model = json.loads(seen.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    backend = Backend(models.BPE(model["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    backend.add_special_tokens(special("<unk>", "<s>", "</s>"))
    return backend, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}


def bert():
    backend = Backend(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    tokens = special("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    backend.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=tokens, show_progress=False))
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend, {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}


def t5():
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -5.0) for letter in "\u2581abcdehistuw/<>")]
    backend = Backend(models.Unigram([*pieces, ("\u2581the", -2.0)], unk_id=2, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(special("<pad>", "</s>", "<unk>"))
    return backend, {"eos_token": "</s>", "pad_token": "<pad>"}


MADE = {make.__name__: make() for make in (gpt2, llama3, llama2, bert, t5)}
each_model = pytest.mark.parametrize("model", MADE)


def source(model):
    backend, config = MADE[model]
    return Source(Vocabulary.parse(backend.to_str(), model), config)


def brought(model, **names):
    return bring_in(source(model), Names(**{"roles": {}, **names}), model)


TOKENIZERS = {model: brought(model).tokenizer for model in MADE}
nasty = st.lists(st.sampled_from(["</s>", "<s>", "[SEP]", "[CLS]", "QUUX", "<|stop|>", "<|endoftext|>", "<think>", "<|user|>"]))
texts = st.one_of(st.text(max_size=20), nasty.map("".join), nasty.map(" the ".join))


@each_model
@settings(max_examples=50)
@given(text=texts)
def test_no_text_is_ever_encoded_to_a_special_id_but_the_unknown_one(model, text):
    tokenizer = TOKENIZERS[model]
    unknown = {"llama2": "<unk>", "bert": "[UNK]", "t5": "<unk>"}.get(model)
    reserved = {number for token, number in tokenizer._vocabulary.special.items() if token != unknown}
    assert not reserved & set(tokenizer.encode(text))


def test_the_library_by_itself_would_read_a_special_token_from_text():
    # The traps that the text form closes; should the library change, this says so.
    for model, token in (("t5", "</s>"), ("llama3", "QUUX")):
        backend = Backend.from_str(MADE[model][0].to_str())
        backend.encode_special_tokens = True
        number = backend.token_to_id(token)
        assert number in backend.encode(token, add_special_tokens=False).ids
        assert number not in TOKENIZERS[model].encode(token)


@each_model
@settings(max_examples=50)
@given(text=st.text(alphabet="sweat h\u00e9\u6771 1\n'", max_size=20))
def test_plain_text_gets_the_ids_that_the_library_gives(model, text):
    backend = Backend.from_str(MADE[model][0].to_str())
    backend.no_truncation()
    assert TOKENIZERS[model].encode(text) == backend.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(("model", "encoder"), {"gpt2": "gigatoken", "llama3": "gigatoken", "llama2": "gigatoken"}.items())
def test_columns_are_encoded_fast_where_the_layout_is_known(model, encoder):
    tokenizer = TOKENIZERS[model]
    assert tokenizer.encoder == encoder
    many = [f"{text} {n} the\n" for n, text in enumerate([*TEXTS, "QUUX </s> <think> \u2581x", ""] * 200)]
    encoded = tokenizer.encode_column(pa.array(many))
    for n, text in enumerate(many):
        assert encoded.ids[encoded.offsets[n] : encoded.offsets[n + 1]].tolist() == tokenizer.encode(text)


@pytest.mark.parametrize("model", ["bert", "t5"])
def test_other_layouts_are_left_to_the_reference_with_a_reason(model):
    assert TOKENIZERS[model].encoder == "tokenizers"
    assert TOKENIZERS[model].encoder_reason


def test_what_a_vocabulary_loses_is_said():
    lossless = {model: tokenizer.lossless for model, tokenizer in TOKENIZERS.items()}
    assert lossless == {"gpt2": True, "llama3": True, "llama2": False, "bert": False, "t5": False}
    for model, text in (("llama2", "a\u2581b"), ("bert", "\u00c9t\u00e9  x"), ("t5", "zzz")):
        assert TOKENIZERS[model].decode(TOKENIZERS[model].encode(text)) != text


@pytest.mark.parametrize("model", ["gpt2", "llama3"])
@settings(max_examples=50)
@given(text=texts)
def test_a_lossless_vocabulary_gives_every_text_back(model, text):
    assert TOKENIZERS[model].decode(TOKENIZERS[model].encode(text)) == text


@pytest.mark.parametrize(
    ("model", "frame", "added"),
    [
        ("gpt2", ("<|endoftext|>", "<|endoftext|>", "<|pad|>"), 5),
        ("llama3", ("<|begin|>", "<|stop|>", "<|pad|>"), 4),  # it has <|user|>
        ("llama2", ("<s>", "</s>", "<|pad|>"), 5),
        ("bert", ("<|bos|>", "<|end|>", "[PAD]"), 6),
        ("t5", ("<|bos|>", "</s>", "<pad>"), 5),
    ],
)
def test_tokens_come_from_the_config_and_what_it_lacks_is_added(model, frame, added):
    tokenizer, new = brought(model)
    assert tuple(tokenizer.frame.values()) == frame
    assert len(new) == added
    before = MADE[model][0].get_vocab_size()
    assert tokenizer.size == before + added
    assert tokenizer.decode(range(before, tokenizer.size)).replace(" ", "") == "".join(new)
    assert (tokenizer.bos, tokenizer.end) == tuple(tokenizer._vocabulary.special[token] for token in frame[:2])
    assert tokenizer.pad != tokenizer.end


def test_names_in_the_recipe_win():
    names = {"bos": "[CLS]", "end": "[SEP]", "roles": None}
    tokenizer, new = brought("bert", **names)
    assert tokenizer.frame == {"bos": "[CLS]", "end": "[SEP]", "pad": "[PAD]"}
    assert (tokenizer.bos, tokenizer.end, tokenizer.pad) == (2, 3, 0)
    assert new == ()
    assert tokenizer.size == MADE["bert"][0].get_vocab_size()


def test_a_bare_prompt_is_opened_as_documents_are_by_other_tools_too():
    for tokenizer in TOKENIZERS.values():
        theirs = Backend.from_str(tokenizer.files[VOCABULARY_FILE])
        assert theirs.encode("the").ids == [tokenizer.bos, *tokenizer.encode("the")]


def test_another_end_is_another_fingerprint():
    assert brought("bert", end="[SEP]").tokenizer.fingerprint != brought("bert", end="[CLS]").tokenizer.fingerprint


@pytest.mark.parametrize(
    ("model", "names", "complaint"),
    [
        ("gpt2", {"bos": "<|endoftxt|>"}, r"bos: '<\|endoftxt\|>' is no special token.* did you mean '<\|endoftext\|>'"),
        ("gpt2", {"roles": {"user": "[USER]"}}, r"roles\.user: '\[USER\]' is no special token of this vocabulary"),
        ("gpt2", {"pad": "<|endoftext|>"}, "would be both bos and pad"),
        ("llama3", {"roles": {"user": "<|stop|>"}}, r"<\|stop\|> would be both end and user"),
        ("llama2", {"pad": "</s>"}, "</s> would be both end and pad"),
    ],
)
def test_names_that_do_not_fit_are_an_error(model, names, complaint):
    with pytest.raises(DataError, match=complaint):
        brought(model, **names)


def test_a_house_name_that_is_an_ordinary_token_is_an_error():
    backend = Backend.from_str(MADE["gpt2"][0].to_str())
    backend.add_tokens([AddedToken("<|user|>", special=False)])
    with pytest.raises(DataError, match=r"<\|user\|> is an ordinary token of this vocabulary"):
        bring_in(Source(Vocabulary.parse(backend.to_str(), "x"), {}), Names(roles={}), "x")


def test_a_text_that_the_vocabulary_cannot_write_is_an_error():
    backend, config = t5()
    data = json.loads(backend.to_str())
    data["model"]["unk_id"] = None
    tokenizer = bring_in(Source(Vocabulary(data), config), Names(roles={}), "x").tokenizer
    with pytest.raises(DataError, match="cannot write one of 1 texts"):
        tokenizer.encode("zzz")


def test_a_frame_that_text_can_spell_is_refused():
    backend = Backend.from_str(MADE["gpt2"][0].to_str())
    backend.add_special_tokens(special("!"))
    with pytest.raises(ArtifactError, match="! is also an ordinary piece of text, so a document could end itself"):
        bring_in(Source(Vocabulary.parse(backend.to_str(), "x"), {}), Names(end="!", roles={}), "x")


def test_an_id_that_the_file_gets_wrong_is_refused():
    data = json.loads(MADE["gpt2"][0].to_str())
    data["added_tokens"][0]["id"] += 7
    with pytest.raises(ArtifactError, match=r"says that <\|endoftext\|> is id \d+, but the library reads it as \d+"):
        bring_in(Source(Vocabulary(data), {"bos_token": "<|endoftext|>"}), Names(), "x")


def test_a_vocabulary_brought_in_is_saved_and_opened_like_any(tmp_path):
    for model, tokenizer in TOKENIZERS.items():
        tokenizer.save(tmp_path / model)
        again = Tokenizer.load(tmp_path / model)
        assert (again.fingerprint, again.frame, again.roles) == (tokenizer.fingerprint, tokenizer.frame, tokenizer.roles)


TURNS = [Message("system", "be brief"), Message("user", "the spindle"), Message("assistant", "turns"), Message("user", "why")]


def by_template(tokenizer, messages):
    def raise_exception(message):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    said = [message._asdict() for message in messages]
    template = environment.from_string(tokenizer.files["chat_template.jinja"])
    return template.render(messages=said, bos_token=tokenizer.frame["bos"], add_generation_prompt=True)


@pytest.mark.parametrize(
    ("model", "roles"), [("gpt2", {}), ("llama3", {"user": "QUUX", "tool": "<|user|>"}), ("llama3", {"system": "QUUX"})]
)
def test_the_template_says_what_render_does_for_other_tokens(model, roles):
    tokenizer = brought(model, roles=roles).tokenizer
    naive = Backend.from_str(tokenizer.files[VOCABULARY_FILE])
    prompt = Renderer(tokenizer).prompt(TURNS)
    assert naive.encode(by_template(tokenizer, TURNS), add_special_tokens=False).ids == prompt
    assert prompt[1] == tokenizer.role("system")
    assert {role: tokenizer.role(role) for role in roles} == {role: naive.token_to_id(token) for role, token in roles.items()}


def test_a_quote_in_a_token_does_not_end_the_template():
    backend = Backend.from_str(MADE["gpt2"][0].to_str())
    backend.add_special_tokens(special("<'\\n'}}>"))
    tokenizer = bring_in(Source(Vocabulary.parse(backend.to_str(), "x"), {}), Names(end="<'\\n'}}>", roles={}), "x").tokenizer
    assert by_template(tokenizer, TURNS[:1]) == "<|bos|><|system|>be brief<'\\n'}}><|assistant|>"


def test_other_tokens_are_another_renderer():
    one, other = (Renderer(brought("llama3", roles=roles).tokenizer) for roles in ({}, {"user": "QUUX"}))
    assert one.fingerprint != other.fingerprint


def test_without_role_tokens_a_chat_is_an_error_and_a_document_is_not():
    tokenizer = brought("gpt2", roles=None).tokenizer
    assert tokenizer.roles == {}
    renderer = Renderer(tokenizer)
    with pytest.raises(ArtifactError, match=r"no token that opens a turn of system, user.*tokens\.load and chat: true"):
        renderer.render(TURNS)
    with pytest.raises(ArtifactError, match="no token that opens a turn"):
        renderer.render_dialogues([])
    with pytest.raises(TemplateError, match="no tokens that open turns"):
        by_template(tokenizer, TURNS)


def test_files_are_found_in_a_folder_or_by_name(tmp_path):
    (tmp_path / "tokenizer.json").write_text(MADE["gpt2"][0].to_str())
    assert read_hugging_face(found_files(tmp_path)).config == {}
    assert found_files(tmp_path) == found_files(tmp_path / "tokenizer.json") == [tmp_path / "tokenizer.json"]
    (tmp_path / "tokenizer_config.json").write_text("{}")
    both = [tmp_path / "tokenizer.json", tmp_path / "tokenizer_config.json"]
    assert found_files(tmp_path) == found_files(tmp_path / "tokenizer.json") == both
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "x.tiktoken").write_text("")
    assert found_files(tmp_path / "ranks") == [tmp_path / "ranks" / "x.tiktoken"]
    (tmp_path / "ranks" / "y.tiktoken").write_text("")
    with pytest.raises(DataError, match=r"no tokenizer\.json and 2 \*\.tiktoken files there; want one vocabulary"):
        found_files(tmp_path / "ranks")
    with pytest.raises(DataError, match=r"no tokenizer\.json and no \*\.tiktoken file there"):
        found_files(tmp_path / "absent")


@pytest.mark.parametrize(("content", "complaint"), [(b"{", "not JSON"), (b"[]", "want a JSON object")])
def test_a_config_that_is_none_is_an_error(tmp_path, content, complaint):
    (tmp_path / "tokenizer.json").write_text(MADE["gpt2"][0].to_str())
    (tmp_path / "tokenizer_config.json").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_hugging_face(found_files(tmp_path))


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="not UTF-8"):
        read_hugging_face(found_files(tmp_path))
