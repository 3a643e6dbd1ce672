"""tasks: questions with checkable answers: an exam for evals, a reward for train, and what no corpus may contain. No torch."""
