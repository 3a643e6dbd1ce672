"""The stages of compress."""
