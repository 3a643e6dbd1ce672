"""train/telemetry: how fast, how well used, how large and how costly a run is, at every step that is told.

Figures of the machine and the clock: they belong to events and the run's folder and never enter an artifact. MFU is the share
of the device's measured peak that the model's own arithmetic takes (https://arxiv.org/abs/2204.02311); HFU counts also what
activation checkpointing computes again. A row is charged in full, whether documents in it see each other or not and whether it
is filled or padded, because that is what the matrix products compute. Does not keep time: whoever calls says how long it took.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from whorl.model.count import flops_per_token
from whorl.model.parallel import pick_backend
from whorl.model.peak import Peak, measured_peak
from whorl.model.recomputation import Recompute, recomputed_flops_per_token
from whorl.model.transformer import Transformer
from whorl.train.energy import NOT_MEASURED, Energy, open_energy
from whorl.train.memory import peak_memory

__all__ = ["Telemetry"]


@dataclass(frozen=True)
class Telemetry:
    """What one run needs to know to turn tokens and seconds into figures."""

    device: torch.device
    peak: Peak
    energy: Energy
    flops_per_token: int  # the model's: forward and backward
    recomputed_flops_per_token: int  # on top, to save memory

    @classmethod
    def open(cls, model: Transformer, width: int, *, recompute: Recompute = "none", watts: float | None = None) -> Self:
        """Measure the device's peak (less than half a second) and open its energy counters; once per run, model in place.

        `width`: tokens of a row. `watts`: the stated power to estimate from where nothing counts energy.
        """
        device, dtype = model.head_weight.device, model.compute_dtype
        backend = pick_backend(device, dtype).name if model.backend == "auto" else model.backend
        again = recomputed_flops_per_token(model.config, width, recompute, writes_out_attention=backend == "matmul")
        return cls(
            device=device,
            peak=measured_peak(device, dtype),
            energy=open_energy(device, watts),
            flops_per_token=flops_per_token(model.config, width),
            recomputed_flops_per_token=again,
        )

    def about(self) -> dict[str, object]:
        """What the figures are measured against, for one event at the start of a run."""
        return {
            "peak": self.peak.how,
            "peak_flops": self.peak.flops,
            "vendor_peak_flops": NOT_MEASURED if self.peak.vendor_flops is None else self.peak.vendor_flops,
            "flops_per_token": self.flops_per_token,
            "recomputed_flops_per_token": self.recomputed_flops_per_token,
            "memory": peak_memory(self.device).what,
            "energy": self.energy.mode,
        }

    def figures(self, tokens: float, seconds: float) -> Mapping[str, float]:
        """Of `tokens` places in rows computed in `seconds` of training alone: speed, shares, memory and energy so far.

        A figure that cannot be known here (the share of a vendor's peak, energy) is absent. Energy counts from `open` on, looks
        at held-out text included.
        """
        rate = tokens / max(seconds, 1e-9)
        found = {
            "tokens_per_s": rate,
            "mfu": rate * self.flops_per_token / self.peak.flops,
            "hfu": rate * (self.flops_per_token + self.recomputed_flops_per_token) / self.peak.flops,
            "memory_bytes": float(peak_memory(self.device).bytes),
        }
        if self.peak.vendor_flops is not None:
            found["mfu_of_vendor_peak"] = rate * self.flops_per_token / self.peak.vendor_flops
        spent_wh = self.energy.watt_hours()
        if spent_wh is not None:
            found["energy_wh"] = spent_wh
        return found
