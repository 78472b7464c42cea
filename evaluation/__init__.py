"""Measuring a model: problems × budgets × samples, with intervals."""
