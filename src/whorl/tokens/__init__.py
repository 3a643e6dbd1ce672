"""tokens: from text and messages to ids: tokenizer, renderer, token shards, packing, loader. Never imports torch."""
