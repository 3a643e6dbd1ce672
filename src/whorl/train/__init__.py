"""train: one loop that turns token ids or dialogues into a checkpoint; objectives, optimizers and schedules are doors."""
