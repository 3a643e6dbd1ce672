"""bench/machine: what a figure was measured on, in the words every bench uses."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

__all__ = ["machine"]


def machine() -> str:
    """Processor, cores, system, Python and torch."""
    processor = platform.processor() or "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    python = platform.python_version()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {python}, torch {version('torch')}"
