"""How near a text is to its gold text, as the field's libraries measure it: BLEU, chrF, ROUGE, BERTScore."""
