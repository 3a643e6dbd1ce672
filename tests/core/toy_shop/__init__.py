"""A package outside the house, with doors of its own."""
