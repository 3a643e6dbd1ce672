"""The model kit: one Transformer definition, its layers and attention backends, its families and checkpoints.

Does not train, sample or read text: rooms and the engine above do.
"""
