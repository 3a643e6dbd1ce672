import resource
import sys

import torch

from whorl.train.memory import peak_memory


def test_a_process_that_fills_a_hundred_megabytes_is_charged_for_them():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    filled = torch.ones(before // 4 + 25_000_000)  # more than was ever held, by 100 MB
    found = peak_memory(torch.device("cpu"))
    assert filled.nbytes <= found.bytes < 10 * filled.nbytes
    assert found.what == "resident pages of the process"


def test_a_gpu_is_charged_for_what_torch_allocated_on_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    assert peak_memory(torch.device("cuda", 0)) == (123, "allocated by torch on the GPU")
