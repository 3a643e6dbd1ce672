"""train/stages: the stages of this room, one file each."""
