"""whorl: from raw text to a language model you can talk to, trust and improve."""

__version__ = "0.1.0"
