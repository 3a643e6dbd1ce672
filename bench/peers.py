"""bench/peers: run a peer in an environment of its own, so that its pins never reach ours.

An environment is made once per list of requirements and never timed. A peer that cannot be installed is None: the bench says
`"peer": null` and ends with 1.
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["TRANSFORMERS", "ask_peer", "peer_python", "real_data"]

ROOT = Path(__file__).parents[1]
# Several benches ask the same peers; apart from .venv-bench-hf, which `make test-all` keeps for the parity tests.
TRANSFORMERS = ("hftrain", ("torch==2.13.0", "transformers==5.23.0", "accelerate==1.15.0"))


def peer_python(name: str, requirements: Sequence[str]) -> Path | None:
    """The interpreter of `.venv-bench-<name>`, made when it is missing or was made for other requirements."""
    folder = ROOT / f".venv-bench-{name}"
    python, stamp = folder / "bin" / "python", folder / ".requirements"
    wanted = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements]
    if subprocess.run(install, check=False).returncode != 0:
        print(f"peer: cannot install {' '.join(requirements)}", file=sys.stderr)
        return None
    stamp.write_text(wanted)
    return python


def ask_peer(python: Path, script: Path, question: Mapping[str, Any], *, timeout_s: float = 1800) -> dict[str, Any]:
    """Run `script` with a JSON object on its standard input; the last line it prints is its answer, a JSON object.

    One thread, as every bench of CPU-seconds wants. Raises CalledProcessError when the peer fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [str(python), str(script)],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
        timeout=timeout_s,
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def real_data() -> Path:
    """The folder of real third-party files. Ends the bench with exit code 1, saying so, when it is not set."""
    folder = os.environ.get("WHORL_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        sys.exit("set WHORL_REAL_DATA to the folder of real files; this bench measures nothing without them")
    return Path(folder)
