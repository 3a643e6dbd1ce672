import pytest
import torch
from safetensors.torch import load_file

from whorl.core.errors import ArtifactError, ResourceError
from whorl.train.tensor_files import TensorFile, write_tensors


def test_what_is_written_comes_back_by_name(tmp_path):
    stacked = torch.arange(12.0).view(2, 2, 3)
    tensors = {"first": stacked[0], "second": stacked[1], "turned": torch.arange(6).view(2, 3).mT, "count": torch.tensor(7)}
    write_tensors(tmp_path / "a.safetensors", tensors)
    found = TensorFile(tmp_path / "a.safetensors")
    assert set(found) == set(tensors)
    assert len(found) == 4
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert load_file(tmp_path / "a.safetensors").keys() == tensors.keys()


def test_equal_tensors_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_tensors(tmp_path / name, {"x": torch.ones(3), "y": torch.zeros(2)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_was_read_is_the_askers_own(tmp_path):
    write_tensors(tmp_path / "a", {"x": torch.ones(3)})
    found = TensorFile(tmp_path / "a")
    found["x"].zero_()
    assert found["x"].tolist() == [1, 1, 1]
    with pytest.raises(KeyError):
        found["z"]


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    (tmp_path / "cut").write_bytes(b"short")
    for name in ("cut", "missing"):
        with pytest.raises(ArtifactError, match=f"{name}: cannot be read .* delete {tmp_path}"):
            TensorFile(tmp_path / name)
    with pytest.raises(ResourceError, match=r"cannot be written .* free disk space"):
        write_tensors(tmp_path / "no/folder", {"x": torch.ones(1)})
