"""model/shards: the weights of a model in safetensors files, read and written one public tensor at a time.

Reading copies each tensor from the mapped file to its place in the model, so memory holds the model once. Writing makes one
file at a time. Does not know config.json; no pickle is read or written.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from whorl.core.errors import DataError
from whorl.model.layout import Entry, Layout

__all__ = ["INDEX", "WEIGHTS", "read_json", "read_weights", "write_weights"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
MAX_TOUCHED_BYTES = 2**28  # pages of a mapped file count as memory of this process until the file is closed


def write_weights(folder: Path, weights: Mapping[str, Tensor], *, layout: Layout, dtype: torch.dtype, max_bytes: int) -> None:
    """Write our tensors under their public names, in files of at most `max_bytes` or one tensor; older weights are removed."""
    entries = layout.entries({name: tensor.shape for name, tensor in weights.items()})
    files = _files(list(entries.values()), dtype.itemsize, max_bytes=max_bytes)
    for old in [*folder.glob("model*.safetensors"), *folder.glob(INDEX)]:
        old.unlink()
    names = (
        [WEIGHTS] if len(files) == 1 else [f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)]
    )
    for name, members in zip(names, files, strict=True):
        public = {entry.name: entry.gathered(weights).detach().to("cpu", dtype).contiguous() for entry in members}
        save_file(public, folder / name, metadata={"format": "pt"})
    if len(files) > 1:
        total = sum(_size(entry, dtype.itemsize) for entry in entries.values())
        place = {entry.name: name for name, members in zip(names, files, strict=True) for entry in members}
        index = {"metadata": {"total_size": total}, "weight_map": place}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_weights(folder: Path, into: Mapping[str, Tensor], *, layout: Layout) -> None:
    """Fill our tensors from the folder's files. Raises DataError naming what is missing, unexpected or misshapen."""
    entries = layout.entries({name: tensor.shape for name, tensor in into.items()})
    found = _found(folder, layout, entries)
    spare = {name for name in layout.copies if name not in entries}
    missing = sorted(set(entries) - set(found))
    unexpected = sorted(name for name in set(found) - set(entries) - spare if not layout.is_ignored(name))
    if missing or unexpected:
        raise DataError(
            f"{folder}: weights do not match config.json; missing: {_shown(missing)}; unexpected: {_shown(unexpected)}"
        )
    copies = []
    for name, tensor in _tensors(folder, {found[name]: name for name in [*entries, *sorted(spare & set(found))]}):
        _check_sound(folder, name, tensor)
        if name in entries:
            _check_shape(folder, entries[name], tensor)
            entries[name].scatter(tensor, into)
        else:
            copies.append((name, tensor.clone()))
    for name, tensor in copies:
        _check_copy(folder, name, tensor, into[layout.copies[name]])


def _files(entries: list[Entry], itemsize: int, *, max_bytes: int) -> list[list[Entry]]:
    files: list[list[Entry]] = [[]]
    filled = 0
    for entry in entries:
        size = _size(entry, itemsize)
        if files[-1] and filled + size > max_bytes:
            files.append([])
            filled = 0
        files[-1].append(entry)
        filled += size
    return files


def _size(entry: Entry, itemsize: int) -> int:
    return torch.Size(entry.shape).numel() * itemsize


def _found(folder: Path, layout: Layout, entries: Mapping[str, Entry]) -> dict[str, tuple[str, str]]:
    """Public name -> file and the name it has in there. Raises DataError for one tensor under two names."""
    found: dict[str, tuple[str, str]] = {}
    for file, name in _stored(folder):
        public = layout.canonical(name, entries)
        if public in found:
            raise DataError(f"{folder / file}: '{name}' is stored twice, in {found[public][0]} as '{found[public][1]}'")
        found[public] = (file, name)
    return found


def _stored(folder: Path) -> Iterator[tuple[str, str]]:
    """File and name of every tensor in a folder."""
    for file in _file_names(folder):
        with _opened(folder / file) as handle:
            names: list[str] = list(handle.keys())
        yield from ((file, name) for name in names)


def _tensors(folder: Path, wanted: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, Tensor]]:
    """Each wanted tensor with its public name, file by file. Valid until the next one is asked for: it is the mapped file."""
    for file in sorted({file for file, _ in wanted}):
        names = deque(name for place, name in wanted if place == file)
        while names:
            for name, tensor in _some(folder / file, names):
                yield wanted[file, name], tensor


def _some(path: Path, names: deque[str]) -> Iterator[tuple[str, Tensor]]:
    """The next tensors of a file until so much of it has been touched that it is better closed and opened again."""
    touched = 0
    with _opened(path) as handle:
        while names and touched < MAX_TOUCHED_BYTES:
            name = names.popleft()
            tensor = handle.get_tensor(name)
            touched += tensor.nbytes
            yield name, tensor


def _file_names(folder: Path) -> list[str]:
    if not (folder / INDEX).is_file():
        return [WEIGHTS]
    names = {str(name) for name in read_json(folder / INDEX).get("weight_map", {}).values()}
    strange = sorted(name for name in names if Path(name).name != name)
    if strange or not names:
        raise DataError(f"{folder / INDEX}: want names of files in this folder, got {_shown(strange)}")
    return sorted(names)


def _opened(path: Path) -> Any:  # noqa: ANN401 - safetensors has no types
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from error


def _check_sound(folder: Path, name: str, tensor: Tensor) -> None:
    if tensor.dtype not in FLOATS:
        wanted = "quantised weights are not supported, want 16 to 64-bit floating point"
        raise DataError(f"{folder}: {name} holds {tensor.dtype}; {wanted}")


def _check_shape(folder: Path, entry: Entry, tensor: Tensor) -> None:
    if tuple(tensor.shape) != entry.shape:
        raise DataError(f"{folder}: {entry.name} has shape {tuple(tensor.shape)}, want {entry.shape}")


def _check_copy(folder: Path, name: str, tensor: Tensor, ours: Tensor) -> None:
    """A second copy of a tied tensor must be a copy: transformers unties the two when they differ, and so do we not."""
    if not torch.equal(tensor.to(ours.device, ours.dtype), ours):
        raise DataError(
            f"{folder}: {name} differs from what config.json ties it to; set tie_word_embeddings to false there, or drop one"
        )


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises DataError when the file holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: want a JSON object, got {type(value).__name__}")
    return value
