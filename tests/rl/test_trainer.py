"""Our one subclass of TRL's GRPO trainer: what it overrides exists, and each batch is scored once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from configs.rundir import RunDir, read_jsonl
from data.think import S1
from models.load import LoadedModel
from models.training import RunCallback
from rewards.composition import BrokenReward, Member, RewardSet
from rewards.rollout import Rollout
from rl import rollout
from rl.trainer import Recorder, Scored
from tests.rl.trainers import PROBLEMS, built, gradients, randomise

pytestmark = pytest.mark.engine


def test_a_batch_is_scored_once_with_special_tokens_kept(tiny: LoadedModel, tmp_path: Path) -> None:
    calls: list[list[Rollout]] = []

    def first(rollouts: Any) -> list[float | None]:
        calls.append(list(rollouts))
        return [float(len(r.text) % 5) for r in rollouts]

    def second(rollouts: Any) -> list[float | None]:
        return [None if i % 2 else 1.0 for i in range(len(rollouts))]

    rewards = RewardSet([Member("first", first, weight=2.0), Member("second", second)])
    seen: list[Scored] = []
    run = RunDir(tmp_path)

    class Spy(Recorder):
        def __call__(self, scored: Scored) -> None:
            seen.append(scored)
            super().__call__(scored)

    trainer = built(tiny, tmp_path, rewards, recorder=Spy(run, RunCallback(run, ()), "warn"))
    trainer.train()
    assert [len(batch) for batch in calls] == [8, 8]
    assert [scored.step for scored in seen] == [1, 2]
    for batch, scored in zip(calls, seen, strict=True):
        groups = [batch[i : i + 4] for i in (0, 4)]
        assert all(len({r.problem.id for r in group}) == 1 for group in groups)
        assert all(r.text.startswith(S1.prefill) and r.completion_tokens == len(r.completion_ids) <= 6 for r in batch)
        assert scored.totals[0] == 2.0 * scored.scores["first"][0] + 1.0  # type: ignore[operator]
        assert scored.totals[1] == 2.0 * scored.scores["first"][1]  # type: ignore[operator]
        for start in (0, 4):
            assert sum(scored.advantages[start : start + 4]) == pytest.approx(0, abs=1e-4)
    rows = list(read_jsonl(tmp_path / "rollouts.jsonl"))
    assert [row["step"] for row in rows] == [1] * 8 + [2] * 8
    assert rows[1]["rewards"]["second"] is None
    assert rows[0]["prompt"] in rollout.prompts(PROBLEMS, tiny.tokenizer, S1)


def test_a_reward_that_breaks_in_mid_run_stops_it_and_leaves_the_sample(tiny: LoadedModel, tmp_path: Path) -> None:
    calls = []

    def breaks_later(rollouts: Any) -> list[float | None]:
        calls.append(len(rollouts))
        return [float("nan") if len(calls) == 2 and i == 3 else 1.0 for i in range(len(rollouts))]

    trainer = built(tiny, tmp_path, RewardSet([Member("breaks_later", breaks_later)]))
    with pytest.raises(BrokenReward, match="reward 'breaks_later', row 3"):
        trainer.train()
    written = list(read_jsonl(tmp_path / "alarms.jsonl"))
    assert [(row["step"], row["alarm"]) for row in written] == [(2, "broken_reward")]
    assert written[0]["samples"][0]["id"] in {p.id for p in PROBLEMS}


def batch(tiny: LoadedModel) -> dict[str, Any]:
    """Four rows as TRL's `_compute_loss` gets them: padded prompts and completions, two rows without an advantage."""
    generator = torch.Generator().manual_seed(3)
    prompt_mask = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 1, 1, 1]])
    completion_mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]])
    return {
        "prompt_ids": torch.randint(3, 250, (4, 5), generator=generator) * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(3, 250, (4, 6), generator=generator) * completion_mask,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([1.5, 0.0, 0.0, -0.7]),
        "num_items_in_batch": torch.tensor(11),
    }


@pytest.mark.parametrize("advantages", [[1.5, 0.0, 0.0, -0.7], [0.0] * 4, [0.3, -0.3, 1.0, -1.0]])
def test_rows_without_an_advantage_are_skipped_and_gradients_stay_those_of_plain_trl(
    tiny: LoadedModel, tmp_path: Path, advantages: list[float]
) -> None:
    trainer = built(tiny, tmp_path, RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))]))
    randomise(trainer.model)
    inputs = batch(tiny) | {"advantages": torch.tensor(advantages)}
    assert trainer.skips_rows
    plain = gradients(trainer, lambda model, rows: GRPOTrainer._compute_loss(trainer, model, rows), inputs)
    ours = gradients(trainer, trainer._compute_loss, inputs)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("option", [{"beta": 0.1}, {"loss_type": "grpo"}, {"entropy_coef": 0.1}])
def test_no_row_is_skipped_where_it_would_count(tiny: LoadedModel, tmp_path: Path, option: dict[str, Any]) -> None:
    rewards = RewardSet([Member("one", lambda rollouts: [1.0] * len(rollouts))])
    assert not built(tiny, tmp_path, rewards, **option).skips_rows


def test_a_prompt_that_does_not_fit_is_named(tiny: LoadedModel) -> None:
    prompts = rollout.prompts(PROBLEMS, tiny.tokenizer, S1)
    longest = rollout.check_lengths(PROBLEMS, prompts, tiny.tokenizer, 10, 2048)
    from configs.errors import DataError

    with pytest.raises(DataError, match=rf"problem 0 has {longest} tokens.*max_completion_length=10"):
        rollout.check_lengths(PROBLEMS, prompts, tiny.tokenizer, 10, longest + 9)


def test_a_bos_that_the_template_writes_is_not_doubled(tiny: LoadedModel) -> None:
    import copy

    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template = "<|endoftext|>" + tokenizer.chat_template
    tokenizer.bos_token = "<|endoftext|>"
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    ids = tokenizer(rollout.prompts(PROBLEMS, tokenizer, S1))["input_ids"]
    assert all(row[0] == 0 and row[1] != 0 for row in ids)
