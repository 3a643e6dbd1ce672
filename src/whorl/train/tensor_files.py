"""train/tensor_files: named tensors in a safetensors file, read and written without a second copy of them in memory.

Does not know what the tensors are.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from whorl.core.errors import ArtifactError, ResourceError

__all__ = ["TensorFile", "write_tensors"]


class TensorFile(Mapping[str, Tensor]):
    """The tensors of one file; each is read when it is asked for, and is the asker's own."""

    def __init__(self, path: Path) -> None:
        """Raises ArtifactError for a file that is missing or cut short."""
        self._path = path
        with self._opened() as file:
            self._names: tuple[str, ...] = tuple(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        # Opened anew: pages of a map that stays open count as this process's memory until it is closed.
        with self._opened() as file:
            tensor: Tensor = file.get_tensor(name).clone()
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _opened(self) -> Any:  # noqa: ANN401 - untyped in safetensors
        try:
            return cast("Any", safe_open(self._path, framework="pt"))
        except (OSError, SafetensorError) as error:
            folder = self._path.parent
            raise ArtifactError(f"{self._path}: cannot be read ({error}); delete {folder} to start the stage over") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file; equal tensors give equal bytes. Raises ResourceError when the disk does not take it."""
    shared = _storages_of_several(tensors)
    whole = {name: _whole(tensor, is_shared=tensor.untyped_storage().data_ptr() in shared) for name, tensor in tensors.items()}
    try:
        save_file(whole, path)
    except (OSError, SafetensorError) as error:
        raise ResourceError(f"{path}: cannot be written ({error}); free disk space and run again") from error


def _whole(tensor: Tensor, *, is_shared: bool) -> Tensor:
    """The tensor in memory of its own, copied only where it must be: stacked momenta lie in one block, for example."""
    here = tensor.detach().cpu()
    return here.clone(memory_format=torch.contiguous_format) if is_shared or not here.is_contiguous() else here


def _storages_of_several(tensors: Mapping[str, Tensor]) -> set[int]:
    seen: set[int] = set()
    shared: set[int] = set()
    for tensor in tensors.values():
        pointer = tensor.untyped_storage().data_ptr()
        (shared if pointer in seen else seen).add(pointer)
    return shared
