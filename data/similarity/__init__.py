"""How alike texts are, whole corpora at once."""
