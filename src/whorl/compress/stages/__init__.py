"""compress/stages: what flow can run here: one file per stage."""
