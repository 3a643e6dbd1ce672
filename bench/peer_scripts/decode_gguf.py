"""bench/peer_scripts/decode_gguf: a checkpoint of the llama or qwen3 layout as a GGUF file in bfloat16, for llama.cpp.

Ids only: the file holds no vocabulary, so nothing of how text is cut can differ. Norms are float32, as llama.cpp wants them.
Asked `{"folder", "gguf"}` on standard input. Runs in the environment of llama.cpp, without torch.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf  # type: ignore[import-not-found]
import numpy as np

BLOCK = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}


def tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and bits, uint16 (out, in), of every bfloat16 tensor of the folder's one weights file."""
    raw = np.memmap(folder / "model.safetensors", dtype=np.uint8, mode="r")
    size = int(raw[:8].view(np.uint64)[0])
    header = json.loads(bytes(raw[8 : 8 + size]))
    header.pop("__metadata__", None)
    for name, entry in header.items():
        assert entry["dtype"] == "BF16", f"{name} is {entry['dtype']}, want BF16"
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        yield name, np.frombuffer(bytes(raw[begin:end]), np.uint16).reshape(entry["shape"])


def renamed(name: str) -> str:
    """What llama.cpp calls a weight."""
    if name in WHOLE:
        return f"{WHOLE[name]}.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{BLOCK[rest.removesuffix('.weight')]}.weight"


def interleaved(bits: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a rotary map with the two halves of each head alternating: llama's GGUF turns neighbouring channels."""
    halves = bits.reshape(heads, 2, bits.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(bits.shape))


def describe(writer: Any, said: Mapping[str, Any]) -> None:  # noqa: ANN401 - gguf's writer
    """The shape, from config.json."""
    head_dim = said.get("head_dim") or said["hidden_size"] // said["num_attention_heads"]
    theta = said.get("rope_theta") or said["rope_parameters"]["rope_theta"]
    writer.add_context_length(said["max_position_embeddings"])
    writer.add_embedding_length(said["hidden_size"])
    writer.add_block_count(said["num_hidden_layers"])
    writer.add_feed_forward_length(said["intermediate_size"])
    writer.add_head_count(said["num_attention_heads"])
    writer.add_head_count_kv(said["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(theta)
    writer.add_layer_norm_rms_eps(said["rms_norm_eps"])
    writer.add_vocab_size(said["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def write(folder: Path, target: Path) -> None:
    """The whole file. Raises KeyError for a weight that has no place in it."""
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, said["model_type"])
    describe(writer, said)
    heads = {"q_proj": said["num_attention_heads"], "k_proj": said["num_key_value_heads"]}
    for name, bits in tensors(folder):
        if bits.ndim == 1:
            writer.add_tensor(renamed(name), (bits.astype(np.uint32) << 16).view(np.float32))
            continue
        turned = next((count for part, count in heads.items() if part in name), 0) if said["model_type"] == "llama" else 0
        ready = interleaved(bits, turned) if turned else np.ascontiguousarray(bits)
        writer.add_tensor(renamed(name), ready.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    asked = json.loads(sys.stdin.readline())
    write(Path(asked["folder"]), Path(asked["gguf"]))
    sys.stdout.write(json.dumps({"bytes": Path(asked["gguf"]).stat().st_size}) + "\n")
