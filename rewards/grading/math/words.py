"""Answers in words: the same words, whatever their case, articles, punctuation and white space."""

import re

from rewards.grading.math.answer import Answer, Quantity, Text
from rewards.grading.math.tree import Constant, Product, Variable

_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\w{2})")
_NOT_WORD = re.compile(r"[\W_]+")
_SYNONYMS = {  # without spaces
    **dict.fromkeys(
        ("dne", "doesnotexist", "undefined", "notdefined", "isundefined", "limitdoesnotexist", "不存在"), "dne"
    ),
    **dict.fromkeys(("impossible", "notpossible", "itisimpossible", "itisnotpossible", "不可能"), "impossible"),
}


def words_of(text: str) -> str:
    """Words to compare: without case, article, punctuation and white space."""
    text = text.replace("\\text", " ").replace("′", "prime").casefold()
    words = _NOT_WORD.sub("", _ARTICLE.sub("", _NOT_WORD.sub(" ", text).strip()))
    return _SYNONYMS.get(words, words)


def equal_texts(gold: Answer, answer: Answer) -> bool:
    """Whether both are the same words; a product of variables may be one that was meant as a word."""
    return bool(_spelled(gold)) and _spelled(gold) == _spelled(answer)


def _spelled(answer: Answer) -> str:
    """A text's words, or the variables of a product as one."""
    if isinstance(answer, Text):
        return words_of(answer.words)
    if not isinstance(answer, Quantity):
        return ""
    nodes = answer.node.factors if isinstance(answer.node, Product) else (answer.node,)
    return "".join(node.name for node in nodes if isinstance(node, Variable | Constant)).casefold()
