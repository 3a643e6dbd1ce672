"""bench: one script per claim, run as `python -m bench.NAME`; the last line each prints is one JSON object."""
