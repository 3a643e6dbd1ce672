"""The corpus room's stages, one file each."""
