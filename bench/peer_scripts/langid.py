"""bench/peer_scripts/langid: py3langid's answers and speed. Runs in an environment of its own; JSON in, JSON out."""

import json
import sys
import time

import py3langid.langid as peer  # type: ignore[import-not-found]


def main() -> None:
    """Classify every text of `texts`, after a first one that loads the model; CPU-seconds of one thread."""
    texts = json.load(sys.stdin)["texts"]
    peer.classify("The model is loaded by the first call.")
    began = time.process_time()
    codes = [peer.classify(text)[0] for text in texts]
    cpu_s = time.process_time() - began
    print(json.dumps({"codes": codes, "cpu_s": cpu_s, "labels": list(peer.IDENTIFIER.labels)}))


if __name__ == "__main__":
    main()
