"""One attack, top to bottom: problems → honest answers → the search → finds, on the screen and in a file."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from configs.errors import RewardError
from configs.progress import Progress
from configs.schema.grpo import GrpoConfig
from data.splits import split_problems
from data.think_format import resolve_think_format
from rewards.attack.console import show
from rewards.attack.findings import Remark, finds, remarks, state_of
from rewards.attack.genome import catalogue
from rewards.attack.measure import Bench, Measured, TokenIds
from rewards.attack.record import FOLDER, keep
from rewards.attack.scene import scenes_of
from rewards.attack.search import CHILDREN, ROUNDS, search
from rewards.composition import RewardSet
from rewards.plugin import TrlReward
from rewards.registry import build_rewards


@dataclass(frozen=True, slots=True)
class Attack:
    """What was found, and where it is kept; `open`: whether a find or a remark is open."""

    finds: list[Measured]
    remarks: list[Remark]
    tried: int
    file: Path | None

    @property
    def open(self) -> bool:
        """Whether something has to be mended before training."""
        return any(state == "open" for state in [*map(state_of, self.finds), *(one.state for one in self.remarks)])


def run_attack(
    config: GrpoConfig, minutes: float = 10.0, problems: int = 12, seed: int = 0, folder: Path | None = None
) -> Attack:
    """Attack the recipe's rewards on `problems` of its own problems, print what is found and keep it in `folder`."""
    started = time.monotonic()
    reward_set = build_rewards(config.rewards)
    think_format = resolve_think_format(config.think_format)
    known, _ = split_problems(config.data, config.eval)
    reward_set.check(think_format, known[0])
    scenes = scenes_of(known, think_format, config.completion_length, problems, random.Random(seed))
    bench = Bench(reward_set, scenes, token_ids_of(config, reward_set))
    most = sum(1 for _ in catalogue()) + (1 + len(bench.names)) * ROUNDS * CHILDREN
    with Progress("hacks", total=most) as progress:
        attack = attacked(bench, seed, started + 60 * minutes, lambda tried, note: progress.update(tried, note))
    show(bench, attack.finds, attack.remarks)
    figures = {
        "tried": len(bench.measured),
        "problems": len(scenes),
        "seconds": round(time.monotonic() - started, 1),
        "seed": seed,
        "wrong": bench.honest.wrong,
        "right": bench.honest.right,
    }
    file = keep(folder or FOLDER / Path(config.output_dir).name, config, attack.finds, attack.remarks, figures)
    print(f"kept in {file}; its completions again, reward by reward: mull score --config RECIPE --text {file}")
    return Attack(attack.finds, attack.remarks, attack.tried, file)


def attacked(bench: Bench, seed: int, until: float, progress: Callable[[int, str], None]) -> Attack:
    """The search and its finds; nothing is searched where right answers earn no more than wrong ones."""
    found = finds(search(bench, seed, until, progress)) if bench.honest.gap > 0 else []
    return Attack(found, remarks(bench), len(bench.measured), None)


def token_ids_of(config: GrpoConfig, reward_set: RewardSet) -> TokenIds | None:
    """The recipe's tokenizer where a reward reads token ids; None where estimates do."""
    readers = [m.name for m in reward_set.members if isinstance(m.reward, TrlReward) and m.reward.needs_ids]
    if not readers:
        return None
    from models.tokenizer import load_tokenizer  # transformers

    tokenizer = load_tokenizer(config.model)
    if tokenizer is None:
        raise RewardError(f"reward '{readers[0]}' reads token ids, and {config.model.name} has no tokenizer")
    return lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
