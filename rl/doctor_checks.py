"""What `rl.doctor` looks at with the weights at hand: a completion, its loss mask, its grades, the engine."""

from collections.abc import Sequence
from typing import Any

from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.prompts import token_ids
from data.think_format import ThinkFormat
from models.engines.base import Engine
from models.load import LoadedModel
from rewards.composition import RewardSet
from rl import policy_check, rollout
from rl.scoring import RolloutScorer
from training import heldout
from training.preflight import Finding, attempt, passed


def lengths(
    config: GrpoConfig,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    held_out: Sequence[Problem],
    tokenizer: Any,
    think_format: ThinkFormat,
) -> Finding:
    """Whether every prompt, held-out ones too, and the budget fit."""

    def check() -> Finding:
        heldout.check(config, held_out, tokenizer, think_format)
        longest = rollout.longest_prompt(config, problems, prompts, tokenizer)
        rollout.check_budget(config, tokenizer, think_format, longest)
        text = f"prompts up to {longest} tokens + completions up to {config.completion_length}"
        return passed("lengths", f"{text} fit the context of {config.model.max_length}")

    return attempt("lengths", check)


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
        self.made = rollout.make_generate(engine, config)(self.prompts, loaded.model)

    def completion(self) -> Finding:
        """What the model writes; one that never ends its turn learns little."""
        ended = sum(g.finish == "stop" for g in self.made)
        lengths = [len(g.token_ids) for g in self.made]
        text = f"{ended} of {len(self.made)} end by themselves, {min(lengths)}–{max(lengths)} tokens; the first: "
        text += f"{self.made[0].text[:60]!r}"
        if not ended:
            fix = "raise trainer.max_completion_length, or warm the model up with sft.train"
            return Finding("completion", "warned", text, fix)
        return passed("completion", text)

    def loss_mask(self) -> Finding:
        """Which tokens are trained on: those that the policy chose."""
        columns = rollout.as_columns(self.made, self.config.rollout.budget is not None)
        prompt, completion = (sum(map(len, columns[name])) for name in ("prompt_ids", "completion_ids"))
        forced = sum(row.count(0) for row in columns.get("env_mask", []))
        if forced == completion:
            return Finding("loss mask", "failed", "every token was forced by the budget", "raise rollout.budget")
        text = f"{completion - forced} tokens are trained on; {prompt} of prompts and {forced} forced ones are not"
        return passed("loss mask", text)

    def grades(self, rewards: RewardSet) -> list[Finding]:
        """What each reward says of them."""
        eos = self.engine.eos
        scorer = RolloutScorer(rewards, self.problems, self.engine.tokenizer, self.engine.think_format, eos)
        seen = scorer.seen(self.prompts, range(len(self.made)), self.made)

        def check(name: str) -> Finding:
            scores = rewards.score(seen)[name]
            if all(score is None for score in scores):
                return Finding(f"reward {name}", "warned", "could judge none of them", "look at its requirements")
            return passed(f"reward {name}", f"{scores}")

        return [attempt(f"reward {name}", lambda name=name: check(name)) for name in rewards.names]  # type: ignore[misc]

    def agreement(self) -> Finding:
        """The engine against the model in training."""
        ids = token_ids(self.engine.tokenizer, self.prompts)
        found = policy_check.agreement(self.engine, self.loaded.model, ids)
        text = f"{self.engine.name} and the model differ by {found.mean:.2g} nats a token (at most {found.maximum:.2g})"
        wrong = policy_check.verdict(found, policy_check.bound_of(self.loaded.precision))
        return Finding("engine", "failed", wrong) if wrong else passed("engine", text)
