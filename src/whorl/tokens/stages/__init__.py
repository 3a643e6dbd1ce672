"""tokens/stages: the steps `tokens.learn` (documents -> tokenizer) and `tokens.encode` (documents -> tokens)."""
