"""bench/fits: scripts that make coefficients kept in the package; run by hand when what they are fitted to changes."""
