"""What `rl.doctor` looks at: first what needs no weights, then a completion, its loss mask, its grades, the engine."""

from collections.abc import Iterator, Sequence
from functools import partial

from transformers import PreTrainedTokenizerBase

from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.prompts import token_ids
from data.think_format import ThinkFormat, resolve_think_format
from models.engines.base import Engine
from models.load import LoadedModel
from models.tokenizer import load_tokenizer
from rewards.attack import record
from rewards.composition import RewardSet
from rewards.environment import tool_use
from rl import budgets, policy_check, rollout, teacher_check, truncation
from rl.scoring import RolloutScorer
from rl.teacher import teacher_prompts
from training import heldout, preflight
from training.preflight import Finding, attempt, passed
from training.trainer import engine_of, load_for_training


def examine_run(
    config: GrpoConfig, reward_set: RewardSet, problems: list[Problem], held_out: list[Problem]
) -> Iterator[Finding]:
    """The findings on a run; those that need the weights only where none of the others failed."""
    # 1. without weights
    think_format = resolve_think_format(config.think_format)
    tokenizer = load_tokenizer(config.model)
    tools = tool_use(config.rollout.environment, tokenizer, think_format)
    if tools:
        tokenizer, reward_set = tools.tokenizer, tools.with_own_reward(reward_set)
    prompts = rollout.longest_prompts(config, problems, tokenizer, think_format)
    problems, prompts = rollout.fitting(config, problems, prompts, tokenizer)
    findings = preflight.quick(config, tokenizer, think_format, prompts[0])
    findings.append(lengths(config, problems, prompts, held_out, tokenizer, think_format))
    if config.rewards and not tools:
        findings.append(red_team(config))
    if config.teacher:
        findings.append(teacher(config, problems, prompts, tokenizer, think_format))
    yield from findings
    if any(finding.state == "failed" for finding in findings):
        return

    # 2. with them: a completion of a few prompts, drawn as the run would
    loaded = load_for_training(config)
    engine: Engine = engine_of(loaded, config, think_format)
    if tools:
        engine = tools.engine(engine, config.rollout.max_turns, config.completions_per_generation)
    exam = Examination(config, engine, loaded, problems, prompts)
    yield exam.completion()
    yield exam.loss_mask()
    yield from exam.grades(reward_set)
    yield exam.agreement()


def red_team(config: GrpoConfig) -> Finding:
    """Whether the rewards were attacked as they are, and what is still open."""
    if advice := record.advice(config):
        return Finding("red team", "warned", *advice)
    return passed("red team", "the rewards were attacked, and nothing is open")


def lengths(
    config: GrpoConfig,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    held_out: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
) -> Finding:
    """Whether every prompt, held-out ones too, and the budget fit."""

    def check() -> Finding:
        heldout.fitting(config, list(held_out), tokenizer, think_format)
        longest = rollout.longest_prompt(config, problems, prompts, tokenizer)
        budgets.check_budget(config, tokenizer, think_format, longest)
        text = f"prompts up to {longest} tokens + completions up to {config.completion_length}"
        return passed("lengths", f"{text} fit the context of {config.model.max_length}")

    return attempt("lengths", check)


def teacher(
    config: GrpoConfig,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
) -> Finding:
    """Whether the teacher reads the student's tokens, has room for them, and, on a server, says how likely they are."""

    def check() -> Finding:
        teacher_check.check_teacher(config, prompts, tokenizer, think_format)
        taught = teacher_prompts(config, problems, prompts, tokenizer, think_format)
        teacher_check.check_context(config, problems, taught, tokenizer, think_format)
        if config.teacher and config.teacher.server:
            teacher_check.check_server(config.teacher.server, tokenizer, taught, config.completion_length)
        return passed("teacher", teacher_check.described(config, problems))

    return attempt("teacher", check)


class Examination:
    """One completion of a few prompts, drawn as a run would."""

    def __init__(
        self,
        config: GrpoConfig,
        engine: Engine,
        loaded: LoadedModel,
        problems: Sequence[Problem],
        prompts: Sequence[str],
    ) -> None:
        self.config, self.engine, self.loaded = config, engine, loaded
        self.problems, self.prompts = problems[: policy_check.PROMPTS], prompts[: policy_check.PROMPTS]
        self.budgets = [budgets.longest_budget(config)] * len(self.prompts)
        self.generations = rollout.make_generate(engine, config)(
            self.problems, self.prompts, self.budgets, loaded.model
        )

    def completion(self) -> Finding:
        """What the model writes; one that never ends its turn learns little."""
        ended = sum(g.finish == "stop" for g in self.generations)
        lengths = [len(g.token_ids) for g in self.generations]
        text = (
            f"{ended} of {len(self.generations)} end by themselves, {min(lengths)}–{max(lengths)} tokens; the first: "
        )
        text += f"{self.generations[0].text[:60]!r}"
        if not ended:
            fix = "raise trainer.max_completion_length, or warm the model up with sft.train"
            return Finding("completion", "warned", text, fix)
        return passed("completion", text)

    def loss_mask(self) -> Finding:
        """Which tokens are trained on: those that the policy chose."""
        columns = rollout.trl_columns(self.generations, self.config.rollout.forces_tokens)
        prompt, completion = (sum(map(len, columns[name])) for name in ("prompt_ids", "completion_ids"))
        forced = sum(row.count(0) for row in columns.get("env_mask", []))
        if forced == completion:
            return Finding("loss mask", "failed", "every token was forced by the budget", "raise rollout.budget")
        text = f"{completion - forced} tokens are trained on; {prompt} of prompts and {forced} forced ones are not"
        return passed("loss mask", text)

    def grades(self, rewards: RewardSet) -> list[Finding]:
        """What each reward says of them."""
        scorer = RolloutScorer(
            rewards,
            self.problems,
            self.engine.tokenizer,
            self.engine.think_format,
            self.engine.eos,
            self.config.completion_length,
        )
        limits = list(map(budgets.limit_of, self.budgets))
        rollouts = scorer.rollouts(self.prompts, range(len(self.generations)), self.generations, limits)

        def check(name: str) -> Finding:
            scores = rewards.score(rollouts)[name]
            if all(score is None for score in scores):
                return Finding(f"reward {name}", "warned", "could judge none of them", "look at its requirements")
            return passed(f"reward {name}", f"{scores}")

        return [attempt(f"reward {name}", partial(check, name)) for name in rewards.names]

    def agreement(self) -> Finding:
        """The engine against the model in training."""
        ids = token_ids(self.engine.tokenizer, self.prompts)
        bound = policy_check.rounding_of(self.loaded.precision)
        gap, wrong = policy_check.look_at_parts(self.engine, self.loaded.model, ids, bound, self.config.sampling)
        text = f"{self.engine.name} and the model differ by {gap.mean:.2g} nats a token (at most {gap.maximum:.2g})"
        sampling, uses_liger = self.config.sampling, bool(self.config.trl_setting("use_liger_kernel"))
        if sampling.truncations:
            text += f"; {truncation.compared(sampling, truncation.in_loss(self.loaded.backend, uses_liger))}"
        return Finding("engine", "failed", wrong) if wrong else passed("engine", text)
