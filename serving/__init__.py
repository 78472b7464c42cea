"""A trained run behind a server or in a chat."""
