"""compress/exports/gguf: one .gguf file for llama.cpp and what is built on it.

Matrices in float32, bfloat16 or Q8_0 (blocks of 32 in eight bits with a 16-bit scale, to the bit what the gguf package makes);
norms, biases, learned positions and what chooses experts always in float32. Tensors are written one by one, so that memory
holds the model once. Does not make k-quants: llama.cpp's own `llama-quantize` does, from this file. Needs
`pip install 'whorl[export]'`. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from whorl.compress.exports import Export
from whorl.compress.gguf_vocabulary import Cutting, Words, cutting_of, words_of
from whorl.compress.llama_cpp import PublicTensor, Value, architecture_of, fields_of, public_tensors
from whorl.core.errors import DataError, ResourceError
from whorl.model.checkpoint import Loaded, load
from whorl.tokens.tokenizer import TEMPLATE_FILE, VOCABULARY_FILE, Tokenizer
from whorl.tokens.vocabulary import Vocabulary

__all__ = ["GGUF"]

_KINDS = {"f32": ("F32", 0), "bf16": ("BF16", 32), "q8_0": ("Q8_0", 7)}  # llama.cpp's names for a tensor's and a file's type
_QUANT_BLOCK = 32
_EXACT = ("ffn_gate_inp", "position_embd", "exp_probs_b", "rope_freqs")  # never rounded: small, and everything hangs on them


class GGUF(Export):
    """A GGUF file, `<name>-<dtype>.gguf`."""

    dtype: Literal["f32", "bf16", "q8_0"] = "bf16"  # of matrices
    name: str = Field(default="model", pattern=r"^[\w.-]+$")  # of the file and the model in it
    licence: str | None = None  # SPDX identifier, as the file's general.license
    context: int | None = Field(default=None, ge=1)  # longest sequence it may be asked for; default: the model's
    cutting: str | None = None  # llama.cpp's name for how text is cut into words, where it is known to differ; default: found

    def write(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """See Export.write."""
        package = _package()
        loaded = load(checkpoint)
        tokenizer = Tokenizer.load(checkpoint)
        context = self._context(loaded)
        architecture = architecture_of(loaded.family, loaded.config, context=context)
        vocabulary = Vocabulary.parse(tokenizer.files[VOCABULARY_FILE], f"{checkpoint / VOCABULARY_FILE}")
        cutting = Cutting(self.cutting, ("as set in the recipe: not compared",)) if self.cutting else cutting_of(vocabulary)
        weights = loaded.model.state_dict()
        tensors = list(public_tensors(architecture, loaded.config, weights, context=context))
        writer = package.GGUFWriter(folder / f"{self.name}-{self.dtype}.gguf", architecture.name)
        self._describe(writer)
        for name, value in fields_of(architecture, loaded.config, context=context).items():
            _add(writer, f"{architecture.name}.{name}", value)
        _add_tokenizer(writer, tokenizer, words_of(vocabulary, loaded.config.vocab_size), cutting=cutting.name)
        counts = self._write_tensors(package, writer, tensors)
        return {
            "architecture": architecture.name,
            "dtype": self.dtype,
            "context": context,
            **counts,
            "cutting": cutting.name,
            "cutting_differs": "; ".join(cutting.differences),
        }

    def _context(self, loaded: Loaded) -> int:
        longest = loaded.config.max_positions
        if self.context is not None and self.context > longest:
            raise DataError(f"context={self.context}: the model's is {longest}; want at most that")
        return self.context or longest

    def _describe(self, writer: Any) -> None:  # noqa: ANN401 - a writer of an optional package
        writer.add_type("model")
        writer.add_name(self.name)
        if self.licence:
            writer.add_license(self.licence)
        writer.add_file_type(_KINDS[self.dtype][1])
        writer.add_quantization_version(2)

    def _write_tensors(self, package: ModuleType, writer: Any, tensors: list[PublicTensor]) -> dict[str, int]:  # noqa: ANN401
        """Sizes first, then one tensor after another."""
        kinds = [getattr(package.GGMLQuantizationType, self._kind(tensor)) for tensor in tensors]
        for tensor, kind in zip(tensors, kinds, strict=True):
            shape = package.quants.quant_shape_to_byte_shape(tensor.shape, kind)
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, kind in zip(tensors, kinds, strict=True):
            values = np.ascontiguousarray(tensor.made().to(torch.float32).numpy())
            writer.write_tensor_data(package.quants.quantize(values, kind).view(np.uint8))
        writer.close()
        matrices = [tensor for tensor in tensors if self._is_rounded(tensor)]
        unrounded = [tensor for tensor in matrices if self._kind(tensor) == "F32"] if self.dtype != "f32" else []
        return {"tensors": len(tensors), "matrices": len(matrices), "matrices_kept_in_f32": len(unrounded)}

    def _kind(self, tensor: PublicTensor) -> str:
        """Rows that blocks do not divide stay as they are."""
        is_ragged = self.dtype == "q8_0" and tensor.shape[-1] % _QUANT_BLOCK
        return _KINDS[self.dtype][0] if self._is_rounded(tensor) and not is_ragged else "F32"

    @staticmethod
    def _is_rounded(tensor: PublicTensor) -> bool:
        return len(tensor.shape) > 1 and not any(name in tensor.name for name in _EXACT)


def _package() -> ModuleType:
    try:
        import gguf  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise ResourceError(f"use: gguf needs {error.name}; pip install 'whorl[export]'") from error
    return gguf


def _add(writer: Any, key: str, value: Value) -> None:  # noqa: ANN401
    """A field under the type llama.cpp wants it in."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, words: Words, *, cutting: str) -> None:  # noqa: ANN401
    """The vocabulary, the tokens that frame documents, and the chat template."""
    writer.add_tokenizer_model("gpt2")  # byte-level BPE
    writer.add_tokenizer_pre(cutting)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(tokenizer.bos)
    writer.add_eos_token_id(tokenizer.end)
    writer.add_eot_token_id(tokenizer.end)
    writer.add_pad_token_id(tokenizer.pad)
    writer.add_add_bos_token(True)  # noqa: FBT003 - as every document is opened in training
    writer.add_add_eos_token(False)  # noqa: FBT003
    template = tokenizer.files[TEMPLATE_FILE]
    if template.strip():
        writer.add_chat_template(template)
