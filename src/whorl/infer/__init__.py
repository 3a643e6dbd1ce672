"""The engine: token ids in, token ids out; rollouts, exams and users decode with the training model's own forward."""
