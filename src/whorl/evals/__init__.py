"""evals: examine checkpoints: skills, suites over text, a baseline beside every figure, and the report."""
