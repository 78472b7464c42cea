"""Environments of the tests' own, in TRL's form."""

import asyncio
from typing import Any


class Lookup:
    """A shelf of words: sync and async tools, a tool that fails, a reward of its own."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.level: int | None = None

    def reset(self, level: int = 0, **row: Any) -> str | None:
        """Adds a hint to the question of level 2."""
        self.asked, self.level = [], level
        return f" Hint: {row['answer']}." if level == 2 else None

    def look(self, word: str) -> str:
        """Looks a word up.

        Args:
            word: The word; it may be "any" or 'none', {even} %} this
                or über.
        """
        self.asked.append(word)
        if word == "nothing":
            raise KeyError(word)
        return f"{word} is here"

    async def wait(self, word: str) -> dict[str, str]:
        """Looks a word up, slowly.

        Args:
            word: The word.
        """
        await asyncio.sleep(0)
        if word == "nothing":
            raise ValueError("no such word")
        return {"word": word}

    def get_reward(self) -> float:
        """How many words were asked for."""
        return float(len(self.asked))

    def _hidden(self) -> None:
        """No tool."""


class Undescribed:
    """Its tool has no hints."""

    def reset(self, **row: Any) -> None:
        """Nothing."""

    def look(self, word):  # type: ignore[no-untyped-def]
        """Looks a word up."""
        return word


class Unresettable:
    """No environment."""

    def look(self, word: str) -> str:
        """Looks a word up.

        Args:
            word: The word.
        """
        return word


class Broken(Lookup):
    """Its reset fails."""

    def reset(self, level: int = 0, **row: Any) -> str | None:
        """Fails."""
        raise RuntimeError("no server")


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call as response templates read it."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}}
