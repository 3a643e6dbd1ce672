from types import SimpleNamespace

import pytest
import torch

from whorl.train import energy
from whorl.train.energy import NOT_MEASURED, Energy, EstimatedMeter, NvmlMeter, RaplMeter, open_energy

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
WRAPS_AT = 262_143_328_850


class NVMLError(Exception):
    pass


class FakeNvml:
    """A driver with one GPU that counts millijoules."""

    NVMLError = NVMLError

    def __init__(self, millijoules: int = 5_000_000, fails: bool = False) -> None:
        self.millijoules, self.fails, self.asked = millijoules, fails, []

    def nvmlInit(self):  # noqa: N802 - the driver's name
        if self.fails:
            raise NVMLError("driver not loaded")

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        self.asked.append(uuid)
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        return self.millijoules


def zone(root, name, microjoules, wraps_at=WRAPS_AT):
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps_at - 1}\n")
    return folder


def spend(folder, microjoules, wraps_at=WRAPS_AT):
    path = folder / "energy_uj"
    path.write_text(f"{(int(path.read_text()) + microjoules) % wraps_at}\n")


@pytest.fixture
def gpu(monkeypatch):
    """A driver as pynvml, and the GPU that torch says it has."""
    nvml = FakeNvml()
    monkeypatch.setattr(energy, "import_module", lambda name: {"pynvml": nvml}[name])
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234-abcd"))
    return nvml


def test_a_gpu_counts_from_when_the_meter_was_made():
    nvml = FakeNvml(5_000_000)
    meter = NvmlMeter(nvml, "GPU-1")
    assert meter.joules() == 0
    nvml.millijoules += 7_200_000
    assert meter.joules() == 7200


def test_processor_packages_are_summed_and_a_counter_that_wraps_loses_nothing(tmp_path):
    one, two = zone(tmp_path, "intel-rapl:0", WRAPS_AT - 1_000_000), zone(tmp_path, "intel-rapl:1", 10)
    meter = RaplMeter([one, two])
    assert meter.joules() == 0
    spend(one, 3_000_000)
    spend(two, 4_000_000)
    assert meter.joules() == 7
    spend(one, WRAPS_AT - 1)
    assert meter.joules() == pytest.approx(7 + (WRAPS_AT - 1) / 1e6)


def test_an_estimate_is_power_times_time_and_says_so():
    now = [100.0]
    meter = EstimatedMeter(65, clock=lambda: now[0])
    now[0] += 90
    assert meter.joules() == 5850
    assert meter.name == "estimated from 65 W"


def test_a_machine_without_counters_says_not_measured(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        found = open_energy(CPU, powercap=folder)
        assert (found.mode, found.watt_hours()) == ("not measured: no counter may be read here; state watts", None)
    assert Energy([]).mode == NOT_MEASURED


def test_a_stated_power_is_used_only_where_nothing_counts(tmp_path):
    assert open_energy(CPU, 65, powercap=tmp_path).mode == "estimated from 65 W"
    zone(tmp_path, "intel-rapl:0", 1)
    assert open_energy(CPU, 65, powercap=tmp_path).mode == "RAPL"


def test_parts_of_a_package_are_not_counted_beside_it(tmp_path):
    whole, cores = zone(tmp_path, "intel-rapl:0", 0), zone(tmp_path, "intel-rapl:0:0", 0)
    found = open_energy(CPU, powercap=tmp_path)
    spend(whole, 3_600_000_000)
    spend(cores, 1_800_000_000)
    assert found.watt_hours() == 1


def test_counters_that_may_not_be_read_are_as_good_as_none(tmp_path):
    zone(tmp_path, "intel-rapl:0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert open_energy(CPU, powercap=tmp_path).watt_hours() is None


def test_a_gpu_run_counts_gpu_and_processor(gpu, tmp_path):
    package = zone(tmp_path, "intel-rapl:0", 0)
    found = open_energy(GPU, 700, powercap=tmp_path)
    assert found.mode == "NVML + RAPL"
    assert gpu.asked == ["GPU-1234-abcd"]  # by its own number: indexes differ where some GPUs are hidden
    gpu.millijoules += 3_600_000
    spend(package, 1_800_000_000)
    assert found.watt_hours() == 1.5


def test_a_gpu_run_whose_gpu_cannot_be_counted_does_not_pass_off_the_processor_for_it(gpu, tmp_path):
    gpu.fails = True
    zone(tmp_path, "intel-rapl:0", 0)
    assert open_energy(GPU, powercap=tmp_path).mode == "not measured: driver not loaded"
    assert open_energy(GPU, 700, powercap=tmp_path).mode == "estimated from 700 W"


def test_without_the_optional_package_a_gpu_is_not_measured(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(energy, "import_module", missing)
    assert open_energy(GPU, powercap=tmp_path).mode == "not measured: pynvml is missing: pip install 'whorl[energy]'"


def test_another_kind_of_device_is_not_measured(tmp_path):
    assert open_energy(torch.device("mps"), powercap=tmp_path).mode == "not measured: no counter is known for mps"
