"""Rounds of stopping and prompting again, where the tokenizer splits the delimiters."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from budget_forcing.budget import Budget, resolve
from budget_forcing.budget_state import Outcome
from budget_forcing.rounds import Ask, in_rounds
from budget_forcing.tokens import TokenBudget, encode, think_tokens
from data.think_format import XML
from tests.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def run(script: str, budget: Budget) -> tuple[Outcome, list[Ask]]:
    """An `xml` sequence from a model that writes `script`, a round after the other; one round ends at a delimiter."""
    pieces = iter(script.split("§"))
    asked: list[Ask] = []

    def complete(asks: Sequence[Ask]) -> list[tuple[list[int], list[float]]]:
        asked.extend(asks)
        drawn = list(encode(TOKENIZER, next(pieces)))[: asks[0].max_tokens]
        return [(drawn, [-1.0] * len(drawn))]

    tokens = think_tokens(XML, TOKENIZER)
    return in_rounds([resolve(budget, tokens, TOKENIZER, 5, 1000)], complete, TOKENIZER)[0], asked


def text(outcome: Outcome) -> str:
    return str(TOKENIZER.decode(outcome.tokens))


def forced(outcome: Outcome) -> str:
    return str(TOKENIZER.decode([t for t, f in zip(outcome.tokens, outcome.forced, strict=True) if f]))


def test_natural_end_completes_the_delimiter() -> None:
    outcome, asked = run("<reasoning>\n1+1\n</reasoning>§2<|im_end|>", Budget(max_thinking=90, max_answer=50))
    assert text(outcome) == "<reasoning>\n1+1\n</reasoning>\n<answer>\n2<|im_end|>"
    assert forced(outcome) == "\n<answer>\n"
    assert (outcome.reason, outcome.thought) == ("natural", len("<reasoning>\n1+1\n"))
    assert outcome.answer_at == len("<reasoning>\n1+1\n</reasoning>\n<answer>\n")
    assert asked[0].texts == ("</reasoning>",)
    assert (asked[0].max_tokens, asked[1].max_tokens) == (90, 50)


def test_wait_replaces_the_whole_delimiter() -> None:
    outcome, asked = run("a</reasoning>§ b</reasoning>§2", Budget(max_thinking=90, num_waits=1, max_answer=50))
    assert text(outcome) == "aWait b</reasoning>\n<answer>\n2"
    assert (outcome.reason, outcome.thought) == ("waited:1", len("aWait b"))
    assert TOKENIZER.decode(asked[1].tokens) == "aWait"
    assert asked[1].max_tokens == 90 - len("aWait")


def test_limit_inside_delimiter_ends_thinking() -> None:
    outcome, _ = run("abc</reaso§2", Budget(max_thinking=10, max_answer=50, final_answer_text="So: "))
    assert text(outcome) == "abc</reaso</reasoning>\n<answer>\nSo: 2"
    assert (outcome.reason, outcome.thought) == ("limit", 10)
    assert forced(outcome) == "</reasoning>\n<answer>\nSo: "


def test_end_of_turn_ends_the_thinking() -> None:
    outcome, _ = run("abc<|im_end|>§2", Budget(max_thinking=90, max_answer=50))
    assert text(outcome) == "abc</reasoning>\n<answer>\n2"
    assert (outcome.reason, outcome.thought) == ("natural", 3)


def test_refused_end_asks_for_another_token() -> None:
    outcome, asked = run(
        "ab<|im_end|>§c§d</reasoning>§2", Budget(max_thinking=90, num_waits=1, wait_text="", max_answer=50)
    )
    assert text(outcome) == "abcd</reasoning>\n<answer>\n2"
    assert [ask.refuse for ask in asked] == [False, True, False, False]
    assert asked[1].max_tokens == 1


REFUSING = Budget(max_thinking=90, num_waits=1, wait_text="", max_answer=50)


def test_refused_delimiter_is_not_reopened_at_once() -> None:
    outcome, asked = run("ab</reasoning>§c§d</reasoning>§2", REFUSING)
    assert text(outcome) == "abcd</reasoning>\n<answer>\n2"
    assert outcome.reason == "waited:1"
    (opening,) = encode(TOKENIZER, "<")
    assert asked[1].refuse
    assert asked[1].ends == (*asked[0].ends, opening)
    assert opening not in asked[2].ends  # later it may come again


def test_delimiter_begun_after_refused_end_is_refused() -> None:
    outcome, asked = run("ab<|im_end|>§<§/reasoning>\nso on§c§d</reasoning>§2", REFUSING)
    assert text(outcome) == "abcd</reasoning>\n<answer>\n2"
    assert (outcome.thought, outcome.reason) == (4, "waited:1")
    assert len(outcome.logprobs) == len(outcome.tokens)
    assert [ask.max_tokens for ask in asked] == [90, 1, 87, 1, 87, 50]
    assert TOKENIZER.decode(asked[2].tokens) == "ab<"
    assert asked[3].ends == (*asked[1].ends, *encode(TOKENIZER, "<"))


PIECES = ["</", " </", "r>", "x", "E"]
OPENINGS, REST, WORD, EOS = (0, 1), 2, 3, 4


class Pieces:
    """A tokenizer in which two tokens open the delimiter `</r>`."""

    eos_token_id: int | None = EOS

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        raise AssertionError(text)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        return "".join(PIECES[i] for i in token_ids)


def insist(liked: Sequence[int], min_thinking: int = 0, num_waits: int = 0) -> tuple[Outcome, list[Ask]]:
    """A model that writes the first of `liked` that may come, and goes on from every opening to the delimiter."""
    asked: list[Ask] = []

    def complete(asks: Sequence[Ask]) -> list[tuple[list[int], list[float]]]:
        asked.extend(asks)
        assert len(asked) < 50, "it goes round in circles"
        return [(drawn := draw(ask), [-1.0] * len(drawn)) for ask in asks]

    def draw(ask: Ask) -> list[int]:
        if ask.refuse:
            return [next((i for i in liked if i not in ask.ends), liked[-1])]
        if not ask.texts:
            return [EOS]
        return [REST] if ask.tokens and ask.tokens[-1] in OPENINGS else [liked[0], REST]

    budget = TokenBudget((EOS,), (0, REST), (EOS,), limit=20, texts=("</r>",), max_answer=4)
    budget = replace(budget, min_thinking=min_thinking, num_waits=num_waits)
    return in_rounds([budget], complete, Pieces())[0], asked


def test_refused_delimiter_does_not_alternate_spellings() -> None:
    outcome, asked = insist([*OPENINGS, WORD], min_thinking=3)
    assert outcome.tokens == [WORD] * 3 + [0, REST, EOS]
    assert (outcome.thought, outcome.reason) == (3, "waited:3")
    assert [ask.ends for ask in asked if ask.refuse] == [(EOS, 0), (EOS, 0, 1)] * 3


def test_refused_spellings_use_one_wait() -> None:
    outcome, _ = insist([*OPENINGS, WORD], num_waits=2)
    assert outcome.tokens == [WORD] * 2 + [0, REST, EOS]
    assert (outcome.thought, outcome.reason) == (2, "waited:2")


def test_only_refused_delimiters_end_thinking() -> None:
    outcome, _ = insist(OPENINGS, min_thinking=3)
    assert outcome.tokens == [1, REST, EOS]
    assert (outcome.thought, outcome.reason) == (0, "waited:1")


def test_limit_after_refused_end_ends_thinking() -> None:
    outcome, asked = run("ab<|im_end|>§c§2", Budget(max_thinking=3, num_waits=1, wait_text="", max_answer=50))
    assert text(outcome) == "abc</reasoning>\n<answer>\n2"
    assert (outcome.thought, outcome.reason, len(asked)) == (3, "limit", 3)


def test_stop_string_ends_the_rounds() -> None:
    outcome, asked = run("abc STOP", Budget(max_thinking=90, max_answer=50))
    assert text(outcome) == "abc STOP"
    assert (outcome.thought, outcome.answer_at, outcome.reason) == (8, None, None)
    assert len(asked) == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_limits_of_zero_and_one_answer_at_once(limit: int) -> None:
    outcome, asked = run("a§2" if limit else "2", Budget(max_thinking=limit, max_answer=50))
    assert text(outcome) == "a" * limit + "</reasoning>\n<answer>\n2"
    assert len(asked) == limit + 1


def test_batch_runs_until_every_sequence_ends() -> None:
    tokens = think_tokens(XML, TOKENIZER)
    budgets = [
        resolve(Budget(max_thinking=20, num_waits=n, max_answer=4), tokens, TOKENIZER, 5, 1000) for n in range(3)
    ]
    rounds: list[list[int]] = []

    def complete(asks: Sequence[Ask]) -> list[tuple[list[int], list[float]]]:
        rounds.append([ask.sequence for ask in asks])
        ids = list(encode(TOKENIZER, "x<|im_end|>"))
        return [(ids, [0.0, 0.0]) for _ in asks]

    outcomes = in_rounds(budgets, complete, TOKENIZER)
    assert rounds == [[0, 1, 2], [1, 2], [2], [0, 1, 2]]
    assert [outcome.reason for outcome in outcomes] == ["natural", "waited:1", "waited:2"]
