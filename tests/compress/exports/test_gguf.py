"""GGUF files hold the model. What llama.cpp answers from them is kept in tests/golden/compress/llama_cpp.json.

The parity test asks llama.cpp and keeps, beside its greedy ids, a digest of the file it read; without it, the file must still
have that digest and our model still give those ids.
"""

import builtins
import hashlib
import json
import random
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from bench.peers import ask_peer, peer_python
from toy_exports import VARIANTS, written

from whorl.compress.exports import Export
from whorl.compress.exports.gguf import GGUF
from whorl.core.errors import DataError, ResourceError
from whorl.core.records import Message
from whorl.model.checkpoint import load
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import Tokenizer

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "compress" / "llama_cpp.json"
LLAMA_CPP = ("gguf", ("xllamacpp==2026.10.11549",))
SCRIPT = ROOT / "bench" / "peer_scripts" / "gguf_llama_cpp.py"
PROMPTS = [[0, 9, 300, 7, 11], [0, 12, 33, 8, 8, 41, 3, 59, 20, 256], [0], [0, 200, 201, 202, 150]]
MAX_TOKENS = 48
TIE = 1e-3  # logits closer than this may change places between two orders of summation
CHATS = [
    [{"role": "user", "content": "hi there"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a'b\nc"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "more"},
    ],
]


def exported(tmp_path, variant, **choices):
    """The file of a variant and what was said about it."""
    folder = written(tmp_path / f"{variant}-checkpoint", *VARIANTS[variant])
    out = tmp_path / f"{variant}-gguf"
    out.mkdir(exist_ok=True)
    said = GGUF.model_validate({"dtype": "f32", **choices}).write(folder, out)
    return folder, next(out.iterdir()), said


def content_digest(path):
    """Of all fields and tensors, whatever version of the package laid them out."""
    reader, digest = gguf.GGUFReader(path), hashlib.sha256()
    for name in sorted(reader.fields):
        if not name.startswith("GGUF."):
            digest.update(json.dumps([name, reader.fields[name].contents()], default=str).encode())
    for tensor in sorted(reader.tensors, key=lambda one: one.name):
        digest.update(f"{tensor.name} {tensor.tensor_type.name} {tensor.shape.tolist()}".encode())
        # Powers differ in the last bit from processor to processor; all else is copied.
        data = tensor.data.round(4) if tensor.name == "rope_freqs.weight" else tensor.data
        digest.update(np.ascontiguousarray(data).tobytes())
    return digest.hexdigest()


@torch.no_grad()
def our_greedy(folder):
    """Ids by full passes, up to the end token, and by how much each best logit beat the next."""
    model, answers = load(folder).model, []
    for prompt in PROMPTS:
        ids, leads = list(prompt), []
        while len(ids) < len(prompt) + MAX_TOKENS and (len(ids) == len(prompt) or ids[-1] != 1):
            best = model.head(model(torch.tensor([ids])))[0, -1].topk(2)
            ids.append(int(best.indices[0]))
            leads.append(float(best.values[0] - best.values[1]))
        answers.append((ids[len(prompt) :], leads))
    return answers


def assert_same_but_for_ties(ours, theirs):
    for (ids, leads), found in zip(ours, theirs, strict=True):
        apart = next((place for place, (a, b) in enumerate(zip(ids, found, strict=False)) if a != b), None)
        assert apart is None or leads[apart] <= TIE, f"token {apart}: {ids[apart]} leads by {leads[apart]}, not {found[apart]}"
        assert apart is not None or len(ids) == len(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_is_the_one_llama_cpp_was_recorded_to_answer_from_as_we_do(variant, tmp_path):
    folder, path, _ = exported(tmp_path, variant)
    kept = json.loads(GOLDEN.read_text())["variants"][variant]
    assert content_digest(path) == kept["file"]
    assert_same_but_for_ties(our_greedy(folder), kept["greedy"])


@pytest.mark.parity
@pytest.mark.timeout(600)
def test_llama_cpp_answers_as_we_do(tmp_path):
    """Writes what llama.cpp says when nothing is recorded; to record anew, delete the file in tests/golden/compress."""
    found = {}
    for variant in VARIANTS:
        folder, path, said = exported(tmp_path, variant)
        ask = {"file": str(path), "context": said["context"], "prompts": PROMPTS, "max_tokens": MAX_TOKENS}
        answer = asked(ask)
        assert_same_but_for_ties(our_greedy(folder), answer["greedy"])
        found[variant] = {"file": content_digest(path), "greedy": answer["greedy"]}
    if not GOLDEN.is_file():
        GOLDEN.write_text(json.dumps({"peer": answer["version"], "variants": found}, sort_keys=True) + "\n")
    assert json.loads(GOLDEN.read_text())["variants"] == found


def asked(question):
    python = peer_python(*LLAMA_CPP)
    assert python is not None, "no peer: xllamacpp cannot be installed"
    return ask_peer(python, SCRIPT, question)


def fuzz(count):
    """Texts of all kinds of characters that Unicode 14 knows, and the endings that splits look for."""
    rng = random.Random(0)
    pools = ["abcXYZ' \n\t\r123.,!?-_()", "'sS'tT'reREveVEllLLdD \n", "\u00e0\u00e9\u00ee\u0141\u00c6", "\u6771\u4eac\ud55c"]
    pools += ["\u0437\u0434\u0440\u0391", "\u0939\u093f\u0301\u200d\u00a0\u2028\u3000\x85\x1c", "\U0001f642\u00bd\u2177\u0663"]
    pools += ["<|end|><|bos|>"]
    return ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 40))) for _ in range(count)]


@pytest.mark.parity
@pytest.mark.timeout(600)
def test_llama_cpp_gives_texts_and_chats_our_ids(tmp_path):
    folder, path, said = exported(tmp_path, "llama")
    tokenizer = Tokenizer.load(folder)
    texts = fuzz(800)
    answer = asked({"file": str(path), "context": said["context"], "texts": texts, "chats": CHATS})
    assert said["cutting_differs"] == ""
    assert [tokenizer.encode(text) for text in texts] == answer["texts"]
    renderer = Renderer(tokenizer)
    assert [renderer.prompt([Message(turn["role"], turn["content"]) for turn in chat]) for chat in CHATS] == answer["chats"]


@pytest.mark.parametrize(("dtype", "kind"), [("f32", "F32"), ("bf16", "BF16"), ("q8_0", "Q8_0")])
def test_matrices_are_to_the_bit_what_the_package_makes_of_them_and_the_rest_is_exact(tmp_path, dtype, kind):
    folder, path, said = exported(tmp_path, "qwen3_moe", dtype=dtype)
    weights = load(folder).model.state_dict()
    reader = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for ours, theirs in {"embed.weight": "token_embd", "blocks.1.mlp.downs": "blk.1.ffn_down_exps"}.items():
        tensor = reader[f"{theirs}.weight"]
        assert tensor.tensor_type.name == kind
        wanted = gguf.quants.quantize(weights[ours].numpy(), tensor.tensor_type)
        assert np.asarray(tensor.data).tobytes() == wanted.tobytes()
        assert tensor.shape.tolist() == list(weights[ours].shape)[::-1]
    for ours, theirs in {"norm.weight": "output_norm", "blocks.0.mlp.router.weight": "blk.0.ffn_gate_inp"}.items():
        assert reader[f"{theirs}.weight"].tensor_type.name == "F32"
        assert np.array_equal(reader[f"{theirs}.weight"].data, weights[ours].numpy())
    assert said["matrices_kept_in_f32"] == 0


def test_rows_that_blocks_do_not_divide_stay_in_float32_and_are_counted(tmp_path, checkpoint_of):
    folder = checkpoint_of("llama", mlp_width=40)
    said = GGUF(dtype="q8_0").write(folder, tmp_path)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "model-q8_0.gguf").tensors}
    assert {kinds[f"blk.{layer}.ffn_down.weight"] for layer in range(2)} == {"F32"}
    assert kinds["blk.0.ffn_up.weight"] == "Q8_0"
    assert said["matrices_kept_in_f32"] == 2


def test_equal_checkpoints_give_equal_bytes(tmp_path):
    _, one, _ = exported(tmp_path / "one", "qwen2_moe", dtype="q8_0")
    _, other, _ = exported(tmp_path / "other", "qwen2_moe", dtype="q8_0")
    assert one.read_bytes() == other.read_bytes()


def test_name_licence_context_and_special_tokens_are_in_the_file(tmp_path):
    folder, path, _ = exported(tmp_path, "gpt2", name="spindle-1", licence="apache-2.0", context=50)
    said = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    assert path.name == "spindle-1-f32.gguf"
    assert (said["general.name"], said["general.license"], said["gpt2.context_length"]) == ("spindle-1", "apache-2.0", 50)
    assert [said[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "eot", "padding")] == [0, 1, 1, 2]
    assert (said["tokenizer.ggml.add_bos_token"], said["tokenizer.ggml.pre"]) == (True, "qwen2")
    assert said["tokenizer.chat_template"] == (folder / "chat_template.jinja").read_text()


def test_a_context_beyond_the_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="context=97: the model's is 96; want at most that"):
        exported(tmp_path, "llama", context=97)


def test_a_way_of_cutting_set_by_hand_is_written_and_said(tmp_path):
    _, path, said = exported(tmp_path, "llama", cutting="gpt-4o")
    assert gguf.GGUFReader(path).fields["tokenizer.ggml.pre"].contents() == "gpt-4o"
    assert said["cutting_differs"] == "as set in the recipe: not compared"


def test_without_the_package_the_error_names_what_to_install(tmp_path, monkeypatch):
    found = builtins.__import__

    def absent(name, *rest, **how):
        if name == "gguf":
            raise ImportError("No module named 'gguf'", name="gguf")
        return found(name, *rest, **how)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ResourceError, match=r"pip install 'whorl\[export\]'"):
        GGUF().write(tmp_path, tmp_path)


def test_a_refused_model_leaves_no_file(tmp_path, checkpoint_of):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError, match="window of 8"):
        Export.model_validate({"use": "gguf"}).write(checkpoint_of("mistral", window=8), out)
    assert list(out.iterdir()) == []
