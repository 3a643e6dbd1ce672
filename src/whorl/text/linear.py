"""text/linear: a classifier over hashed n-grams: learnt from texts of two kinds, calibrated, scored in one compiled pass.

Stored as `weights.npy` and `classifier.json`, never pickled. A stored classifier knows which places a fixed text has: weights
learnt with words split in another way are refused rather than misread. Does not know what the two kinds mean; whoever trains
it does.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from whorl.core.errors import DataError
from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, hashed_rows, margins
from whorl.text.logistic import Calibration, Fit

__all__ = ["LinearClassifier"]

_FORMAT: Final = 1
_CONFIG_FILE, _WEIGHTS_FILE = "classifier.json", "weights.npy"
_PROBE = "Don't panic: na\u00efve co-operation, 3.14 \u2014 snake_case\n\u6f22\u5b57 \u0e44\u0e17\u0e22 \U0001f9f6\u200d..."


@dataclass(frozen=True)
class LinearClassifier:
    """Gives every text a probability of being of the first kind."""

    features: Features
    weights: npt.NDArray[np.float32]  # 2^bits
    bias: float
    calibration: Calibration

    @classmethod
    def of(cls, features: Features, fit: Fit, calibration: Calibration = Calibration(1.0, 0.0)) -> "LinearClassifier":
        """What was learnt, in the precision it is stored with."""
        weights = fit.weights.astype(np.float32)
        weights.flags.writeable = False
        return cls(features, weights, fit.bias, calibration)

    def margins(self, batch: TextBatch) -> npt.NDArray[np.float64]:
        """Before calibration: log-odds, as far as the training texts went."""
        return margins(batch, self.features, self.weights) + self.bias

    def scores(self, batch: TextBatch) -> npt.NDArray[np.float64]:
        """A probability for each text, the same in any batch."""
        return self.calibration.probabilities(self.margins(batch))

    def word_weights(self, words: Sequence[str]) -> npt.NDArray[np.float32]:
        """The weight of each single word's place, which it may share with others; 0 where single words are not looked at."""
        if not self.features.words:
            return np.zeros(len(words), np.float32)
        single = self.features.model_copy(update={"words": 1, "chars": 0})
        return margins(TextBatch(pa.array(words, pa.large_string())), single, self.weights).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write both files."""
        np.save(folder / _WEIGHTS_FILE, self.weights, allow_pickle=False)
        value = {
            "format": _FORMAT,
            "features": self.features.model_dump(),
            "places_of_probe": _places_of_probe(self.features),
            "bias": self.bias,
            "calibration": self.calibration._asdict(),
        }
        (folder / _CONFIG_FILE).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "LinearClassifier":
        """What `save` wrote. Raises DataError when it is something else."""
        try:
            value: Mapping[str, Any] = json.loads((folder / _CONFIG_FILE).read_text(encoding="utf-8"))
            features = Features.model_validate(value["features"])
            calibration = Calibration(**{name: float(figure) for name, figure in value["calibration"].items()})
            weights = np.load(folder / _WEIGHTS_FILE, allow_pickle=False)
            bias, version, places = float(value["bias"]), value["format"], value["places_of_probe"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise DataError(f"{folder}: not a classifier ({error}); want what corpus.learn_quality made") from error
        if version != _FORMAT or weights.shape != (1 << features.bits,) or weights.dtype != np.float32:
            raise DataError(
                f"{folder}: format {version}, weights {weights.dtype}{weights.shape}; "
                f"want format {_FORMAT}, float32({1 << features.bits},)"
            )
        if places != _places_of_probe(features):
            raise DataError(f"{folder}: learnt when words were split in another way; learn it again with this version")
        weights.flags.writeable = False
        return cls(features, weights, bias, calibration)


def _places_of_probe(features: Features) -> str:
    """A short hash of where the n-grams of a fixed text lie."""
    rows = hashed_rows(TextBatch(pa.array([_PROBE], pa.large_string())), features)
    return hashlib.sha256(rows.places.astype("<u4").tobytes()).hexdigest()[:16]
