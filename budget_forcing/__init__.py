"""How long a model thinks: budgets inside the samplers of Transformers and vLLM."""
