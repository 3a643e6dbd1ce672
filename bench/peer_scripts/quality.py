"""bench/peer_scripts/quality: hashed n-grams and logistic regression as scikit-learn has them. JSON in, JSON out."""

import json
import sys
import time

from sklearn.feature_extraction.text import HashingVectorizer  # type: ignore[import-not-found]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]


def main() -> None:
    """Fit on `train` and `labels`, score `test`; CPU-seconds of scoring, one thread."""
    asked = json.load(sys.stdin)
    hashing = HashingVectorizer(ngram_range=(1, 2), n_features=1 << 20, alternate_sign=False, norm="l2")
    solver = LogisticRegression(C=1 / (asked["l2"] * len(asked["labels"])), class_weight="balanced", max_iter=1000)
    solver.fit(hashing.transform(asked["train"]), asked["labels"])
    began = time.process_time()
    margins = solver.decision_function(hashing.transform(asked["test"]))
    cpu_s = time.process_time() - began
    print(json.dumps({"margins": margins.tolist(), "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
