"""One sequence's budget as a state machine over token ids; torch-free.

    thinking ──end drawn──▶ wait left?  ── yes ─▶ forcing "Wait" ──▶ thinking
        │                        └─ no ─▶ forcing the end ─────────▶ answering ──▶ done
        └── limit reached ──────────────▶ forcing the end + final answer text ──▲

One budget covers the whole thinking, "Wait" included; an answer phase with its own limit always follows. The policy's
choice of an end token is an input (`BudgetState.end`), so the machine serves sampling and greedy decoding alike, and
holds all that an engine needs to know. Source: Muennighoff et al. 2025 (arXiv 2501.19393) §3.1, with one budget in
place of one per round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from budget_forcing.tokens import TokenBudget
from configs.errors import EngineError

THINKING, FORCING, ANSWERING, DONE = range(4)


@dataclass(slots=True)
class Outcome:
    """A decoded sequence: per token its id, the policy's log-probability, and whether it was forced.

    The log-probability of a forced token is 0.0, or that of the end that the policy drew in its place.

    thought    thinking tokens, which come first
    answer_at  position at which the answer starts; None: it was never reached
    reason     what ended the thinking: "natural", "waited:k", "limit", "context" or a rule's; None: nothing did
    drawn_ends position → end token that the policy drew there, whatever became of it
    shared     how many of the first tokens were decoded for another sequence, and not for this one
    probed     how many tokens more were decoded, to decide when to stop
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    forced: list[bool] = field(default_factory=list)
    thought: int = 0
    answer_at: int | None = None
    reason: str | None = None
    drawn_ends: dict[int, int] = field(default_factory=dict)
    shared: int = 0
    probed: int = 0

    def cut(self, length: int) -> "Outcome":
        """The first `length` tokens; an end of thinking that only comes after them is not known of."""
        return Outcome(
            self.tokens[:length],
            self.logprobs[:length],
            self.forced[:length],
            min(self.thought, length),
            self.answer_at if self.answer_at is not None and self.answer_at <= length else None,
            self.reason if self.thought < length else None,
            {at: token for at, token in self.drawn_ends.items() if at < length},
            min(self.shared, length),
            self.probed,
        )


class BudgetState:
    """Where one sequence stands in its budget.

    An engine asks `due` for each position. An id: that token comes, whatever the policy would choose. None: the policy
    chooses; if `thinking` and it chose one of `budget.ends`, the engine says so with `end` and asks again. Then it
    calls `advance`. `refused` says that at this position the policy must choose outside `budget.ends`.

    position   tokens so far
    thought    thinking tokens so far, "Wait" included
    answered   tokens that the policy chose after the end
    waits      "Wait"s so far; `waits_used` of them count against `num_waits`
    reason     what ended the thinking: "natural", "waited:k", "limit" or "context"; None while it goes on
    answer_at  position at which the answer starts, or None
    forced     per position: True where the policy did not choose the token
    """

    __slots__ = (
        "_at",
        "_chosen",
        "_queue",
        "_then",
        "answer_at",
        "answered",
        "budget",
        "drawn_ends",
        "forced",
        "phase",
        "position",
        "reason",
        "refused",
        "thought",
        "waits",
        "waits_used",
    )

    def __init__(self, budget: TokenBudget) -> None:
        if budget.texts:
            raise EngineError(
                f"budget: the tokenizer splits {budget.texts[0]!r}, so the end of thinking can't be watched for inside "
                "the engine; use a think format of one-token delimiters (s1), or rounds of stopping and prompting again"
            )
        self.budget = budget
        self.phase = THINKING
        self.position = self.thought = self.answered = self.waits = self.waits_used = 0
        self.reason: str | None = None
        self.answer_at: int | None = None
        self.refused = False
        self.forced: list[bool] = []
        self.drawn_ends: dict[int, int] = {}
        self._queue: tuple[int, ...] = ()
        self._at = 0
        self._then = THINKING
        self._chosen = False
        self._check_limits()

    @property
    def due(self) -> int | None:
        """The id that has to come next, or None where the policy chooses."""
        return self._queue[self._at] if self.phase == FORCING else None

    @property
    def chosen(self) -> bool:
        """What is due is what the policy drew: a natural end whose token opens the format's own end."""
        return self.phase == FORCING and self._at == 0 and self._chosen

    @property
    def thinking(self) -> bool:
        """The policy is thinking: an end token from it has to be told to `end`."""
        return self.phase == THINKING

    @property
    def answering(self) -> bool:
        """The next token belongs to the answer and an end of the turn ends the sequence."""
        return self.phase == ANSWERING or self.cut

    @property
    def room(self) -> int:
        """How many tokens the policy may choose before something is due without its doing."""
        if self.phase == THINKING:
            return self.budget.limit - self.thought
        return self.budget.max_answer - self.answered if self.phase == ANSWERING else 0

    @property
    def on_end(self) -> int | None:
        """What `end` would return now, the same for every end token."""
        if self._refuses:
            budget = self.budget
            return budget.wait[0] if budget.wait and self._fits else None
        return self.budget.end[0]

    @property
    def steady(self) -> int:
        """For how many tokens of the policy `due` and `on_end` stay as they are; at least 1 where it chooses."""
        limits = [self.room]
        if self.phase == THINKING:
            wait = max(len(self.budget.wait), 1)
            limits += [self.budget.min_thinking - self.thought, self.budget.limit - wait - self.thought + 1]
        return min((limit for limit in limits if limit > 0), default=0)

    @property
    def _fits(self) -> bool:
        return self.thought + max(len(self.budget.wait), 1) <= self.budget.limit

    @property
    def _refuses(self) -> bool:
        """An end drawn now would not end the thinking."""
        return self.thought < self.budget.min_thinking or (self.waits_used < self.budget.num_waits and self._fits)

    @property
    def cut(self) -> bool:
        """The answer reached its limit."""
        return self.phase == DONE or (self.phase == FORCING and self._then == DONE)

    def end(self, token: int) -> int | None:
        """The policy drew the end token `token` here; returns `due`: the id to emit in its place.

        None means that the end was refused with nothing to append: the policy draws again among the other tokens.
        """
        self.drawn_ends[self.position] = token
        if self._refuses:
            self.waits += 1
            self.waits_used += self.thought >= self.budget.min_thinking
            if self.budget.wait and self._fits:
                self._force(self.budget.wait, then=THINKING)
            else:
                self.refused = True
            return self.due
        self.reason = f"waited:{self.waits}" if self.waits else "natural"
        self._force(self.budget.end, then=ANSWERING, chosen=self.budget.end[0] == token)
        return self.due

    def advance(self, count: int = 1) -> None:
        """The next `count` tokens came as they were due, or as the policy chose them (at most `room` of those)."""
        if self.phase == FORCING:
            for _ in range(count):
                self._advance_forced()
            return
        self.refused = False
        self.forced.extend([False] * count)
        self.position += count
        if self.phase == THINKING:
            self.thought += count
        else:
            self.answered += count
        self._check_limits()

    def is_ahead(self, position: int) -> bool:
        """It knows of tokens or ends from `position` on."""
        return self.position > position or next(reversed(self.drawn_ends), -1) >= position

    @classmethod
    def after(cls, budget: TokenBudget, drawn_ends: Mapping[int, int], position: int) -> "BudgetState":
        """The state after `position` tokens, in which the policy drew these ends of thinking (position → token)."""
        state = cls(budget)
        while state.position < position:
            if state.thinking and state.position in drawn_ends:
                state.end(drawn_ends[state.position])
            stop = min((at for at in drawn_ends if at > state.position), default=position)
            chosen = 1 if state.due is not None else max(state.room, 1)
            state.advance(min(chosen, stop - state.position, position - state.position))
        return state

    def rewound(self, position: int) -> "BudgetState":
        """The state as it was after `position` tokens (an engine may drop the last ones and sample them anew)."""
        return self.after(self.budget, self.drawn_ends, position)

    def outcome(self, tokens: Sequence[int], logprobs: Sequence[float]) -> Outcome:
        """What was decoded: `tokens`, which may be fewer than those that are known of here, and the state's account."""
        whole = Outcome([*tokens], [*logprobs], self.forced, self.thought, self.answer_at, self.reason, self.drawn_ends)
        return whole.cut(len(tokens))

    def _force(self, ids: tuple[int, ...], then: int, chosen: bool = False) -> None:
        """Queue `ids` and go on in phase `then`; `chosen`: the policy drew the first of them itself."""
        self.phase, self._queue, self._at, self._then, self._chosen = FORCING, ids, 0, then, chosen

    def _advance_forced(self) -> None:
        self.forced.append(not self.chosen)
        self.position += 1
        self._at += 1
        self.thought += self._then == THINKING
        if self._then == ANSWERING and self._at == len(self.budget.end):
            self.answer_at = self.position
        if self._at == len(self._queue):
            self.phase = self._then
            self._check_limits()

    def _check_limits(self) -> None:
        if self.phase == THINKING and self.thought >= self.budget.limit:
            self.reason = self.budget.limit_reason
            self._force(self.budget.end + self.budget.final, then=ANSWERING)
        elif self.phase == ANSWERING and self.answered >= self.budget.max_answer:
            self._force(self.budget.eos[:1], then=DONE)
