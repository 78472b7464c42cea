"""On-policy distillation: a teacher says of every token of the student's rollouts how likely it finds it.

A token's advantage is log π_teacher − log π_student of the token that was drawn, added to what its completion earned
from rewards. That is one sample of the negative reverse KL where the token stands, and its policy gradient is that of
the KL to the teacher in the states that the student visits (GKD, arXiv 2306.13649 §3, on-policy and reverse; MiniLLM,
arXiv 2306.08543 §2.2, without the credit for later tokens: Thinking Machines, "On-Policy Distillation", 2025).

    who teaches        weights here (`models.frozen`), or a vLLM server (`models.server`)
    after which text   the student's own prompt; one with the solution; the prompt and longer thinking

The model is its own teacher in the last two (On-Policy Self-Distillation, arXiv 2601.18734): the weights that training
starts from, for a teacher that moves with the student would drift with it. Both sides are what the sampling makes of
the logits, temperature and truncation (`rl.truncation`) included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from budget_forcing.budget import Budget
from configs.schema.grpo import GrpoConfig
from configs.schema.sections import SamplingConfig, ServerConfig
from data.problem import Problem
from data.prompts import token_ids
from data.think_format import ThinkFormat
from models.engines.base import Engine, Request
from models.engines.generation import Generation
from models.frozen import FrozenModel
from models.server import prompt_logprobs
from models.teacher_forcing import Pair
from rl import rollout
from rl.sampling import Batch
from rl.trl_batch import TrlBatch, loss_mask

CLIP = 10.0
"""Most nats that a token counts for either way. One that the teacher finds impossible would outweigh a whole batch;
arXiv 2601.18734 clips what a token adds as well."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The part of a completion that the teacher speaks of, tokens `start` to `end`, and the ids that it has ahead."""

    prompt: tuple[int, ...]
    start: int
    end: int


Lessons = Callable[[Batch], list[Lesson]]
"""A batch → a lesson for each completion; an empty one where nothing is taught."""
Score = Callable[[Any, Sequence[Pair]], list[torch.Tensor]]
"""A model and (prompt ids, completion ids) → (C,) log-probabilities of each, as the loss takes them."""


class Teacher:
    """Adds to a batch's advantages; `ids` is how many token ids student and teacher have in common, from 0 on."""

    def __init__(self, lessons: Lessons, who: FrozenModel | ServerConfig, weight: float, ids: int) -> None:
        self.lessons, self.who, self.weight, self.ids = lessons, who, weight, ids

    def teach(self, batch: Batch, output: TrlBatch, student: Any, score: Score) -> dict[str, float]:
        """Advantages (B,) of `output` become (B, T); returns figures for the metrics."""
        # 1. what the teacher finds of the tokens that it speaks of
        lessons = [self._known(lesson, g) for lesson, g in zip(self.lessons(batch), batch.generations, strict=True)]
        taught = [(row, lesson) for row, lesson in enumerate(lessons) if lesson.start < lesson.end]
        pairs = [(at.prompt, batch.generations[row].token_ids[at.start : at.end]) for row, at in taught]
        values = self._ask(pairs, student, score) if pairs else []

        # 2. less what the policy found when it drew them: of tokens that it chose
        old_BT = output["old_per_token_logps" if "old_per_token_logps" in output else "sampling_per_token_logps"]
        ratio_BT, is_taught_BT = torch.zeros_like(old_BT), torch.zeros_like(old_BT, dtype=torch.bool)
        for (row, at), value in zip(taught, values, strict=True):
            ratio_BT[row, at.start : at.end] = value.to(ratio_BT) - old_BT[row, at.start : at.end]
            is_taught_BT[row, at.start : at.end] = True
        is_taught_BT &= loss_mask(output).bool() & ratio_BT.isfinite()
        ratio_BT = ratio_BT.where(is_taught_BT, 0.0)

        # 3. beside what the completion earned
        output["advantages"] = output["advantages"][:, None] + self.weight * ratio_BT.clamp(-CLIP, CLIP)
        count, tokens = is_taught_BT.sum().item(), output["completion_mask"].sum().item()
        return {"teacher_kl": -ratio_BT.sum().item() / max(1, count), "taught_share": count / max(1, tokens)}

    def _known(self, lesson: Lesson, generation: Generation) -> Lesson:
        """Up to the first id that not both have: a padded vocabulary has more than its tokenizer."""
        part = range(lesson.start, lesson.end)
        return replace(lesson, end=next((at for at in part if generation.token_ids[at] >= self.ids), lesson.end))

    def _ask(self, pairs: Sequence[Pair], student: Any, score: Score) -> list[torch.Tensor]:
        if isinstance(self.who, FrozenModel):
            with self.who.answering(student) as model:
                return score(model, pairs)
        return [torch.tensor(row) for row in prompt_logprobs(pairs, self.who)]


def build_teacher(
    config: GrpoConfig,
    prompts: Sequence[str],
    engine: Engine,
    student: Any,
    ids: int,
) -> Teacher | None:
    """The recipe's teacher; on shared weights `student` gets another adapter. Raises `ModelError`.

    `prompts`: what the teacher has ahead of each problem's completions (`teacher_prompts`). `engine` draws what is
    thought ahead of answers.
    """
    section = config.teacher
    if section is None:
        return None
    lessons: Lessons = whole_lessons
    if section.sees == "solution":
        lessons = SolutionLessons([tuple(prompt) for prompt in token_ids(engine.tokenizer, prompts)])
    elif section.budget:
        lessons = ThinkingLessons(engine, thinking_budget(config), config.sampling)
    weights = config.teacher_model
    who = FrozenModel(weights, config, student) if weights else section.server
    assert who is not None  # the schema
    return Teacher(lessons, who, section.weight, ids)


def whole_lessons(batch: Batch) -> list[Lesson]:
    """Every token after the student's own prompt."""
    return [Lesson(g.prompt_ids, 0, len(g.token_ids)) for g in batch.generations]


class SolutionLessons:
    """Every token after a prompt that holds the solution; `prompts`: the ids of each problem's."""

    def __init__(self, prompts: Sequence[tuple[int, ...]]) -> None:
        self.prompts = prompts

    def __call__(self, batch: Batch) -> list[Lesson]:
        problems_B = [problem for problem in batch.problems_P for _ in range(batch.group_size)]
        pairs = zip(problems_B, batch.generations, strict=True)
        return [Lesson(self.prompts[problem], 0, len(g.token_ids)) for problem, g in pairs]


class ThinkingLessons:
    """The answer alone, after thinking of another budget: drawn once a group, by the policy as it is."""

    def __init__(self, engine: Engine, budget: Budget, sampling: SamplingConfig) -> None:
        # the answer that is judged is the student's: of the teacher's own one token is drawn, the fewest that can be
        self.engine, self.budget, self.sampling = engine, replace(budget, max_answer=1), sampling

    def __call__(self, batch: Batch) -> list[Lesson]:
        firsts = batch.generations[:: batch.group_size]
        requests = [Request(first.prompt_ids, self.sampling, budget=self.budget) for first in firsts]
        longer = [g for g in self.engine.generate(requests) for _ in range(batch.group_size)]
        return [_answer_lesson(mine, long) for mine, long in zip(batch.generations, longer, strict=True)]


def _answer_lesson(mine: Generation, long: Generation) -> Lesson:
    """The answer of `mine` after the thinking of `long`; empty where either has not come to an answer."""
    prompt = (*long.prompt_ids, *long.token_ids[: answer_start(long)])
    has_both = mine.answer_tokens > 0 and long.answer_tokens > 0
    return Lesson(prompt, answer_start(mine), len(mine.token_ids) if has_both else 0)


def answer_start(generation: Generation) -> int:
    """The place of the answer's first token; the length where there is none, the end of the turn left out."""
    return len(generation.token_ids) - (generation.finish == "stop") - generation.answer_tokens


def thinking_budget(config: GrpoConfig) -> Budget:
    """How long is thought ahead of the student's answers; an effort level is a share of the whole context."""
    assert config.teacher is not None
    assert config.teacher.budget is not None
    assert config.rollout.budget is not None
    answers = {"max_answer": config.rollout.budget.max_answer}
    return Budget.from_config(config.teacher.budget.model_copy(update=answers), config.model.max_length)


def teacher_prompts(
    config: GrpoConfig,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
) -> list[str]:
    """What the teacher has ahead of the completions: the student's rendered `prompts`, or ones with the solution."""
    sees_solution = config.teacher is not None and config.teacher.sees == "solution"
    seen = [with_solution(problem) for problem in problems]
    return rollout.prompts(seen, tokenizer, think_format) if sees_solution else list(prompts)


def with_solution(problem: Problem) -> Problem:
    """The problem, its question followed by the reference solution, where the source has one, and the gold answer."""
    solution = f"\n{problem.solution.strip()}" if problem.solution else ""
    question = (
        f"{problem.question}\n\nA correct solution, for you alone:{solution}\nAnswer: {problem.answer}\n\n"
        "Now solve the problem step by step in your own words."
    )
    return replace(problem, question=question)
