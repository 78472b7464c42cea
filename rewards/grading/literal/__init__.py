"""Graders that read an answer as it is written, not as mathematics: text, sets of terms, JSON fields, entities."""
