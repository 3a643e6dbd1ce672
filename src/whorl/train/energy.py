"""train/energy: watt-hours spent since a run began, and how that is known: counted by the GPU, by the processor, or estimated.

NVML counts the energy of a GPU and RAPL that of processor packages, everything else that runs there included; what neither
counts (memory, fans, losses of the power supply) is in no figure. An estimate is a stated power times the time. Where there is
none of these, energy is "not measured".
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

__all__ = ["NOT_MEASURED", "Energy", "EstimatedMeter", "Meter", "NvmlMeter", "RaplMeter", "open_energy"]

NOT_MEASURED = "not measured"

_POWERCAP = Path("/sys/class/powercap")
_JOULES_PER_WH = 3600.0


class Meter(Protocol):
    """Something that counts joules."""

    name: str

    def joules(self) -> float:
        """Counted since the meter was made; never falls."""
        ...


class NvmlMeter:
    """The energy counter of one GPU (Volta and later). Takes the pynvml module, so that a fake can stand for it."""

    def __init__(self, nvml: Any, uuid: str) -> None:  # noqa: ANN401 - an optional module
        """Raises the module's NVMLError where the GPU has no such counter."""
        self.name = "NVML"
        self._nvml = nvml
        nvml.nvmlInit()
        self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._first = self._millijoules()

    def joules(self) -> float:
        """See Meter."""
        return (self._millijoules() - self._first) / 1e3

    def _millijoules(self) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))


class RaplMeter:
    """The energy counters of the processor packages, as Linux shows them. They wrap around; ask at least every few minutes."""

    def __init__(self, zones: Sequence[Path]) -> None:
        """Zones are folders with `energy_uj` and `max_energy_range_uj`. Raises OSError where one cannot be read."""
        self.name = "RAPL"
        self._zones = tuple(zones)
        self._wraps_at = [_number(zone / "max_energy_range_uj") + 1 for zone in zones]
        self._last = [_number(zone / "energy_uj") for zone in zones]
        self._microjoules = 0

    def joules(self) -> float:
        """See Meter."""
        now = [_number(zone / "energy_uj") for zone in self._zones]
        for new, old, wraps_at in zip(now, self._last, self._wraps_at, strict=True):
            self._microjoules += (new - old) % wraps_at
        self._last = now
        return self._microjoules / 1e6


class EstimatedMeter:
    """A stated power for as long as it takes."""

    def __init__(self, watts: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = f"estimated from {watts:g} W"
        self._watts = watts
        self._clock = clock
        self._began = clock()

    def joules(self) -> float:
        """See Meter."""
        return self._watts * (self._clock() - self._began)


class Energy:
    """The sum of some meters, or of none."""

    def __init__(self, meters: Sequence[Meter], why_none: str = "") -> None:
        self._meters = tuple(meters)
        self._why_none = why_none

    @property
    def mode(self) -> str:
        """`NVML`, `NVML + RAPL`, `estimated from 65 W`, `not measured: ` and why."""
        if not self._meters:
            return f"{NOT_MEASURED}: {self._why_none}" if self._why_none else NOT_MEASURED
        return " + ".join(meter.name for meter in self._meters)

    def watt_hours(self) -> float | None:
        """Spent since opening; None where nothing counts."""
        return sum(meter.joules() for meter in self._meters) / _JOULES_PER_WH if self._meters else None


def open_energy(device: torch.device, watts: float | None = None, *, powercap: Path = _POWERCAP) -> Energy:
    """Every counter that can be read here; without any, an estimate from `watts`, where they are stated.

    On a GPU the processor's share is counted beside the GPU's, or left out where RAPL cannot be read (often only by root).
    """
    packages = _rapl_meters(powercap)
    found = Energy(packages, "no counter may be read here; state watts") if device.type == "cpu" else _of_gpu(device, packages)
    return Energy([EstimatedMeter(watts)]) if watts is not None and found.watt_hours() is None else found


def _of_gpu(device: torch.device, packages: Sequence[Meter]) -> Energy:
    """The GPU and the packages; nothing where the GPU is not counted, because its processor is no stand-in for it."""
    if device.type != "cuda":
        return Energy([], f"no counter is known for {device.type}")
    try:
        nvml = import_module("pynvml")  # optional
    except ImportError:
        return Energy([], "pynvml is missing: pip install 'whorl[energy]'")
    try:
        meter = NvmlMeter(nvml, f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except nvml.NVMLError as error:  # an old GPU, or a container without the driver's library
        return Energy([], str(error))
    return Energy([meter, *packages])


def _rapl_meters(powercap: Path) -> list[Meter]:
    """One meter over all packages; their parts (cores, memory) are inside them and are not counted twice."""
    zones = sorted(zone for zone in powercap.glob("intel-rapl:*") if zone.name.count(":") == 1)
    with suppress(OSError, ValueError):
        return [RaplMeter(zones)] if zones else []
    return []


def _number(path: Path) -> int:
    return int(path.read_text())
