"""The text kit: words, statistics, shingles and overlaps, computed by compiled kernels over Arrow buffers. No torch."""
