"""How long a model may think: a budget as a recipe or a request gives it, and made token ids for one prompt."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from budget_forcing.tokens import ThinkTokens, TokenBudget, Tokenizer, encode
from configs.errors import EngineError
from configs.schema.sections import BudgetConfig

EFFORT_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""Share of the context minus answer that an effort level may think for; the ratios that OpenRouter's `effort` uses."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """When thinking is stopped early; the fields of a recipe's `stop_when:` section."""

    probe_every: int
    agree: int | None = None
    confidence: float | None = None
    final_answer_text: str = ""
    max_answer: int = 32

    def __str__(self) -> str:
        """As in a budget's name: "agree=2 every=256", and what is not as usual."""
        parts = [
            f"agree={self.agree}" if self.agree else f"confidence={self.confidence:g}",
            f"every={self.probe_every}",
        ]
        parts += [f"final={self.final_answer_text!r}"] if self.final_answer_text else []
        return " ".join([*parts, *([f"answer={self.max_answer}"] if self.max_answer != 32 else [])])

    def reason(self, answers: Sequence[str | None], likely: float | None) -> str | None:
        """Why it stops after probes with these answers, as `budget_forcing.agreement` has them; None: it does not.

        `likely`: exp(mean log-probability) of the last one's answer.
        """
        last = answers[-(self.agree or 1) :]
        if self.agree and len(last) == self.agree and last[0] is not None and len(set(last)) == 1:
            return f"agreed:{self.agree}"
        if self.confidence and likely is not None and likely >= self.confidence:
            return f"confident:{likely:.2f}"
        return None


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a model may, and must, think; in tokens.

    max_thinking       most thinking tokens, "Wait" included; None: what the context leaves
    min_thinking       below it an end of thinking becomes "Wait" without using up `num_waits`
    num_waits          how many ends of thinking are answered with `wait_text`
    wait_text          appended in place of the end; "": the end is refused and the policy draws among the other tokens
    final_answer_text  what an end at the limit appends after the end of thinking
    max_answer         most tokens of the answer
    stop_when          stop early, by what the model would answer
    """

    max_thinking: int | None = None
    min_thinking: int = 0
    num_waits: int = 0
    wait_text: str = "Wait"
    final_answer_text: str = ""
    max_answer: int = 512
    stop_when: StopRule | None = None

    def __post_init__(self) -> None:
        for name in ("max_thinking", "min_thinking", "num_waits", "max_answer"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise EngineError(f"budget: {name} is {value}; give 0 or more")
        if self.max_thinking is not None and self.min_thinking > self.max_thinking:
            raise EngineError(
                f"budget: min_thinking {self.min_thinking} is above max_thinking {self.max_thinking}; "
                "lower the one or raise the other"
            )
        if self.max_answer == 0:
            raise EngineError("budget: max_answer is 0, which leaves no answer; give 1 or more")

    def as_dict(self) -> dict[str, Any]:
        """Its fields, a rule as text: for names and JSON."""
        return {**asdict(self), "stop_when": None if self.stop_when is None else str(self.stop_when)}

    @classmethod
    def from_config(cls, config: BudgetConfig, context: int) -> "Budget":
        """A recipe's `budget:` section; an effort level becomes a share of `context` (tokens) minus the answer."""
        return cls(
            max_thinking=effort_limit(config.effort, context, config.max_answer) or config.max_thinking,
            min_thinking=config.min_thinking,
            num_waits=config.num_waits,
            wait_text=config.wait_text,
            final_answer_text=config.final_answer_text,
            max_answer=config.max_answer,
            stop_when=StopRule(**config.stop_when.model_dump()) if config.stop_when else None,
        )


def effort_limit(effort: str | None, context: int, max_answer: int) -> int | None:
    """Thinking tokens of an effort level; None for `auto` and for no level (then the context alone limits)."""
    if effort is None or effort == "auto":
        return None
    if effort not in EFFORT_SHARES:
        raise EngineError(f"budget: effort {effort!r} is none of {', '.join(EFFORT_SHARES)}, auto")
    return max(1, int(EFFORT_SHARES[effort] * (context - max_answer)))


def resolve(
    budget: Budget,
    tokens: ThinkTokens,
    tokenizer: Tokenizer,
    prompt_tokens: int,
    context: int,
    max_tokens: int | None = None,
) -> TokenBudget:
    """`budget` for a prompt of `prompt_tokens` in a context of `context` tokens.

    `max_tokens` bounds the whole completion too, where given. Raises `EngineError` if prompt, thinking, end and answer
    don't fit, or if "Wait" would itself end the thinking.
    """
    wait, final = encode(tokenizer, budget.wait_text), encode(tokenizer, budget.final_answer_text)
    needs_wait = budget.num_waits > 0 or budget.min_thinking > 0
    if needs_wait and set(wait) & set(tokens.ends):
        raise EngineError(
            f"budget: wait_text {budget.wait_text!r} holds a token that ends the thinking; choose another"
        )
    room = context - prompt_tokens if max_tokens is None else min(context - prompt_tokens, max_tokens)
    ending, wanted = len(tokens.end) + len(final), _wanted(budget)
    left = room - ending - budget.max_answer
    if left < wanted:
        cap = "" if max_tokens is None else f", max_tokens {max_tokens}"
        raise EngineError(
            f"budget: prompt {prompt_tokens} + thinking {wanted} + end {ending} + answer {budget.max_answer} tokens "
            f"don't fit the context of {context}{cap}; {max(left, 0)} are left for thinking: lower max_thinking or "
            "max_answer, or raise the context"
        )
    return TokenBudget(
        ends=tokens.ends,
        end=tokens.end,
        eos=tokens.eos,
        texts=tokens.texts,
        limit=left if budget.max_thinking is None else budget.max_thinking,
        limit_reason="context" if budget.max_thinking is None else "limit",
        min_thinking=budget.min_thinking,
        num_waits=budget.num_waits,
        wait=wait,
        final=final,
        max_answer=budget.max_answer,
    )


def least_room(budget: Budget, tokens: ThinkTokens, tokenizer: Tokenizer) -> int:
    """Tokens that a completion under `budget` needs: with fewer `resolve` refuses it."""
    final = encode(tokenizer, budget.final_answer_text)
    return _wanted(budget) + len(tokens.end) + len(final) + budget.max_answer


def _wanted(budget: Budget) -> int:
    """Thinking tokens that there has to be room for."""
    return budget.min_thinking if budget.max_thinking is None else budget.max_thinking
