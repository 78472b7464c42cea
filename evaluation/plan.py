"""What an evaluation makes: a task a sample, with its prompt, its seed, and a key of all that decides its text."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from budget_forcing.budget import Budget
from budget_forcing.tokens import encode
from configs.errors import ConfigError, EngineError
from configs.sample import Place
from configs.schema.evaluation import EvalConfig, PointConfig
from configs.schema.sections import SamplingConfig
from data.problem import Problem
from data.prompts import render_problem
from data.think_format import ThinkFormat
from data.told_budget import tell
from evaluation import length_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Prompted(Protocol):
    """What of an engine decides prompts and keys."""

    name: str
    tokenizer: "PreTrainedTokenizerBase"
    think_format: ThinkFormat
    context: int


@dataclass(frozen=True, slots=True)
class Task:
    """One sample to make: sample `sample` of `problem` at the point called `label`.

    `asked` is what the point asks for beside a budget, if anything: {prompt, target} or {told} in the prompt, and
    {tries}, how often to draw until the thinking ends by itself. Without a budget `max_tokens` is the limit. Tasks of
    one problem that follow each other and share a seed are the samples 0, 1, … of one request; the engine gives each
    its own noise.
    `posed`: the problem as the point asks it, where that is not `problem` itself.
    `probe`: it is no sample of a point, but the answer after so many thinking tokens of the longest one.
    `logprobs`: the engine is asked for log-probabilities, which votes among several samples are weighted by.
    """

    label: str
    budget: Budget | None
    sampling: SamplingConfig
    asked: Mapping[str, Any]
    problem: Problem
    sample: int
    prompt: str
    prompt_ids: tuple[int, ...]
    seed: int
    key: str = ""
    max_tokens: int | None = None
    logprobs: bool = False
    probe: int | None = None
    posed: Problem | None = None

    @property
    def place(self) -> Place:
        """Where its sample belongs: (point, problem, sample)."""
        return self.label, self.problem.id, self.sample

    @property
    def prompt_hash(self) -> str:
        """SHA-256 of the prompt's text, as lm-evaluation-harness has it."""
        return sha256(self.prompt.encode()).hexdigest()

    @property
    def tries(self) -> int:
        """How many draws at most; more than one is rejection sampling."""
        return int(self.asked.get("tries", 1))

    def seed_of(self, attempt: int) -> int:
        """The seed of draw `attempt`, from 0."""
        return int(_hash(self.seed, attempt)[:15], 16) if attempt else self.seed


def label_of(budget: Budget, asked: Mapping[str, Any] | None = None) -> str:
    """A point's name: every field that is not its default, so that different points have different names."""
    defaults = {field.name: field.default for field in fields(Budget)}
    parts = [
        f"{name}={json.dumps(value, ensure_ascii=False) if name.endswith('_text') or name == 'told' else value}"
        for name, value in {**budget.as_dict(), **(asked or {})}.items()
        if value is not None and value != defaults.get(name)
    ]
    return " ".join(parts) or "natural"


def asked_of(section: PointConfig) -> dict[str, Any]:
    """What a point asks for beside its budget: see `Task`."""
    asked: dict[str, Any] = {"prompt": section.prompt, "target": section.target} if section.prompt else {}
    asked |= {"told": section.told} if section.told else {}
    return asked | ({"tries": section.tries} if section.tries > 1 else {})


def plan(config: EvalConfig, problems: Sequence[Problem], engine: Prompted) -> list[list[Task]]:
    """What to make, a list a point: each problem's samples next to each other.

    Seeds depend on the problem and the sample's number only: budgets of a sweep share their random numbers, and a
    problem's samples stay the same when others are added. Raises `ConfigError` where an effort level and a number of
    tokens come to the same, `EngineError` where a prompt leaves no room for an answer.
    """
    points: list[list[Task]] = []
    for section in config.budgets:
        tasks = _point(config, section, problems, engine)
        if tasks[0].label in [earlier[0].label for earlier in points]:
            raise ConfigError(f"budgets: two of them are the same in a context of {engine.context}: {tasks[0].label}")
        points.append(tasks)
    return points


def shared_thinking(budgets: Sequence[PointConfig]) -> list[list[int]]:
    """Which points share their thinking, by their places: what they have in common of a sample is decoded once.

    Another prompt has another thinking; rejection sampling draws by itself, and a rule probes by itself.
    """
    families: dict[object, list[int]] = {}
    for at, point in enumerate(budgets):
        prompt = conditioned("", point)
        families.setdefault(prompt if point.tries == 1 and not point.stop_when else at, []).append(at)
    return list(families.values())


def longest_point(budgets: Sequence[Mapping[str, Any]]) -> int:
    """The place of the budget (its fields, and what is asked beside it) that may think longest: the one to probe.

    Only those that share their thinking with others count.
    """

    def reach(at: int) -> tuple[float, int]:
        limit = budgets[at]["max_thinking"]
        return math.inf if limit is None else limit, budgets[at]["num_waits"]

    return max(
        (at for at, its in enumerate(budgets) if not set(its) & {"tries", "prompt", "told"} and not its["stop_when"]),
        key=reach,
    )


def probe_tasks(config: EvalConfig, tasks: Sequence[Task], engine: Prompted) -> list[Task]:
    """What to make at every so many thinking tokens of each of `tasks`, short of its limit and of the context.

    A probe's key is of its own budget: a longer one, added to a run, has the probes of the shorter one.
    """
    found: list[Task] = []
    probes, identity = config.probes, _identity(config, engine)
    for task in tasks:
        if probes is None or task.budget is None:
            continue
        room = engine.context - len(task.prompt_ids) - len(encode(engine.tokenizer, engine.think_format.end))
        left = room - len(encode(engine.tokenizer, task.budget.final_answer_text)) - task.budget.max_answer
        limit = left if task.budget.max_thinking is None else task.budget.max_thinking
        most = room - len(encode(engine.tokenizer, probes.final_answer_text)) - probes.max_answer
        for at in range(probes.every, min(limit, most + 1), probes.every):
            budget = replace(
                task.budget,
                max_thinking=at,
                min_thinking=min(at, task.budget.min_thinking),
                final_answer_text=probes.final_answer_text,
                max_answer=probes.max_answer,
            )
            key = _hash(identity, task.prompt_ids, budget.as_dict(), 1, task.seed)[:16]
            found.append(replace(task, label=f"after {at}", budget=budget, key=key, logprobs=True, probe=at))
    return found


def _point(config: EvalConfig, section: PointConfig, problems: Sequence[Problem], engine: Prompted) -> list[Task]:
    budget = Budget.from_config(section, engine.context)
    prompting = asked_of(section)
    label = label_of(budget, prompting)
    identity = _identity(config, engine)
    tasks = []
    for problem in problems:
        posed = replace(problem, question=conditioned(problem.question, section))
        prompt = render_problem(engine.tokenizer, posed, engine.think_format)
        ids = tuple(engine.tokenizer.encode(prompt, add_special_tokens=False))
        if len(ids) + budget.max_answer >= engine.context:
            raise EngineError(
                f"problem {problem.id}: {len(ids)} prompt tokens and max_answer={budget.max_answer} are over the "
                f"context of {engine.context}: raise model.max_length or leave the problem out"
            )
        for sample in range(config.samples):
            seed = int(_hash(config.seed, problem.id, sample)[:15], 16)
            key = _hash(identity, ids, budget.as_dict(), section.tries, seed)[:16]
            task = Task(label, budget, config.sampling, prompting, problem, sample, prompt, ids, seed, key)
            tasks.append(replace(task, posed=posed, logprobs=config.samples > 1 or config.probes is not None))
    return tasks


def conditioned(question: str, section: PointConfig) -> str:
    """The question with what the point asks for in the prompt."""
    match section.prompt, section.target:
        case "tokens", int(target):
            return length_prompts.token_conditional(question, target)
        case "steps", int(target):
            return length_prompts.step_conditional(question, target)
        case ("short" | "long") as length, _:
            return length_prompts.class_conditional(question, length)
    return question if section.max_thinking is None else tell(question, section.max_thinking, section.told)


def _hash(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _identity(config: EvalConfig, engine: Prompted) -> list[Any]:
    """What decides a sample's text besides its prompt, budget and seed; an adapter counts by its weights."""
    model = config.model.model_dump(exclude={"gpu_memory_utilization", "adapter"})
    weights = adapter_hash(config.model.adapter)
    acting = [config.environment, config.max_turns] if config.environment else []
    return [model, weights, engine.name, asdict(engine.think_format), config.sampling.model_dump(), *acting]


def adapter_hash(adapter: str | None) -> str | None:
    """A digest of a local adapter's weights; a hub id stands for itself."""
    if adapter is None:
        return None
    digest = sha256()
    files = sorted(Path(adapter).glob("adapter_model.*"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16] if files else adapter
