"""tokens/stages: the steps that make vocabularies and token shards, and that take shards from and to other tools."""
