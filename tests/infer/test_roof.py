import pytest
import torch

from whorl.infer import roof
from whorl.infer.roof import measured_roof

CPU = torch.device("cpu")


def test_the_roof_is_the_best_of_several_ways_and_says_which():
    found = measured_roof(CPU, torch.bfloat16, num_bytes=3 << 20, budget_s=0.05)
    assert len(found.by_way) == 3
    assert found.bytes_per_s == max(found.by_way.values())
    best = max(found.by_way, key=lambda way: found.by_way[way])
    assert found.how.startswith(f"{best} of 3.15 MB, 1 threads, measured ")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("num_bytes", [1, 1 << 20, 5_000_000])
def test_as_many_bytes_are_read_as_were_asked_for_and_at_least_a_megabyte(dtype, num_bytes):
    matrix = roof._matrix(max(num_bytes, roof._FEWEST_BYTES), CPU, dtype)
    row = matrix.shape[1] * dtype.itemsize
    assert 0 <= max(num_bytes, 1 << 20) - matrix.nbytes < row
    assert matrix.is_contiguous()


def test_every_way_reads_the_whole_matrix():
    matrix = torch.ones(4, 1024, dtype=torch.bfloat16)
    products = [read() for way, read in roof._ways(matrix).items() if way != "plain read"]
    assert [one.flatten().tolist() for one in products] == [[1024.0] * 4] * 2
    (plain,) = (read for way, read in roof._ways(matrix).items() if way == "plain read")
    whole = plain()
    matrix[3, 1023] = 2.0
    assert plain() != whole


def test_a_slow_moment_does_not_lower_the_roof(monkeypatch):
    seconds = iter([1.0, 1.0, 1.0, 0.5, 0.2, 0.4, *[3.0] * 12])
    monkeypatch.setattr(roof, "_seconds", lambda read, device: next(seconds))
    found = measured_roof(CPU, torch.bfloat16, num_bytes=1 << 20, budget_s=0.0)
    assert list(found.by_way.values()) == [(1 << 20) / 0.5, (1 << 20) / 0.2, (1 << 20) / 0.4]


def test_the_global_generator_stands_as_before():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    measured_roof(CPU, torch.float32, num_bytes=1, budget_s=0.0)
    assert torch.equal(torch.rand(1), wanted)
