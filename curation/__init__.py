"""From raw questions and traces to a small set to train on."""
