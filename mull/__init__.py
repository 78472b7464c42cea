"""Mull: train small language models to reason, and decide how long they think."""
