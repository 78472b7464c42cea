"""Whether rollouts are the policy's: what agrees passes, what doesn't stops the run and says what to do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import RunError
from configs.run_directory import RunDir
from configs.schema.sections import SamplingConfig
from data.think_format import S1
from models.engines.generation import Generation
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel
from rewards.composition import Member, RewardSet
from rl import policy_check
from rl import rollout as rollouts
from rl.truncation import over_vocabulary
from tests.host_waits import HostWaits
from tests.rl.trainers import PROBLEMS, built, randomise
from training.run_callback import RunCallback

pytestmark = pytest.mark.engine

REWARDS = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])


WHOLE = SamplingConfig()
SAMPLINGS = [WHOLE, SamplingConfig(top_p=0.9), SamplingConfig(temperature=0.7, top_k=20, min_p=0.05)]


class BaseModelEngine(TransformersEngine):
    """What an engine does that has lost the adapter."""

    def decode(self, *arguments: Any) -> None:
        with self.model.disable_adapter():
            super().decode(*arguments)


class StaleEngine(TransformersEngine):
    """What an engine does that keeps an adapter of long ago."""

    def decode(self, *arguments: Any) -> None:
        weights = [w for name, w in self.model.named_parameters() if "lora_B" in name]
        kept = [w.detach().clone() for w in weights]
        with torch.no_grad():
            for weight in weights:
                weight.mul_(3.0)
            super().decode(*arguments)
            for weight, old in zip(weights, kept, strict=True):
                weight.copy_(old)


def prompts(tiny: LoadedModel) -> list[list[int]]:
    return [tiny.tokenizer(text)["input_ids"] for text in rollouts.prompts(PROBLEMS, tiny.tokenizer, S1)]


def agreed(
    tiny: LoadedModel, engine: type[TransformersEngine] = TransformersEngine, sampling: SamplingConfig = WHOLE
) -> policy_check.Agreement:
    return policy_check.agreement(engine(tiny.model, tiny.tokenizer, S1, 256), tiny.model, prompts(tiny), sampling)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_engine_on_training_weights_agrees(tiny: LoadedModel, sampling: SamplingConfig) -> None:
    randomise(tiny.model)
    found = agreed(tiny, sampling=sampling)
    assert found.mean < 1e-4
    assert found.effect is not None
    assert found.base == pytest.approx(found.effect, rel=0.05)
    assert found.effect > 0.01
    assert policy_check.mismatch(found, policy_check.rounding_of("fp32")) == ""


@pytest.mark.parametrize(
    ("engine", "message"), [(BaseModelEngine, "answers as the base model"), (StaleEngine, "disagree by")]
)
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_engine_on_other_weights_is_detected(
    tiny: LoadedModel, engine: Any, message: str, sampling: SamplingConfig
) -> None:
    randomise(tiny.model)
    wrong = policy_check.mismatch(agreed(tiny, engine, sampling), policy_check.rounding_of("fp32"))
    assert message in wrong
    assert "rollout.engine=transformers" in wrong


def test_zero_adapter_is_no_mismatch(tiny: LoadedModel) -> None:
    with torch.no_grad():
        for name, weight in tiny.model.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    assert policy_check.mismatch(agreed(tiny, BaseModelEngine), policy_check.rounding_of("fp32")) == ""


def test_checksum_covers_base_weights_only(tiny: LoadedModel) -> None:
    before = policy_check.checksum(tiny.model)
    randomise(tiny.model)
    assert policy_check.checksum(tiny.model) == before
    for weight in (w for w in tiny.model.parameters() if not w.requires_grad):
        flat = weight.data.view(-1)
        at = len(flat) // 2
        kept = flat[at].clone()
        flat[at] = kept + 1e-3
        assert policy_check.checksum(tiny.model) != before
        flat[at] = kept
    assert policy_check.checksum(tiny.model) == before


def test_check_reads_the_device_once(tiny: LoadedModel) -> None:
    pairs = [(prompt, [5, 6, 7]) for prompt in prompts(tiny)]
    assert len(pairs) > 1
    for look in (lambda: policy_check.checksum(tiny.model), lambda: policy_check.logprobs(tiny.model, pairs)):
        with HostWaits() as host:
            look()
        assert host.waits == {"tolist": 1}


def watched(tiny: LoadedModel, folder: Path, engine: type[TransformersEngine], **options: Any) -> Any:
    rows = RunCallback(RunDir(folder), ())
    made = engine(tiny.model, tiny.tokenizer, S1, 256)
    watch = policy_check.PolicyCheck(made, prompts(tiny), 2, rows, "fp32")
    return built(tiny, folder, REWARDS, rollout={}, callbacks=[rows, watch], **options)


def test_logprob_gap_is_logged_periodically(tiny: LoadedModel, tmp_path: Path) -> None:
    from configs.run_directory import read_jsonl

    watched(tiny, tmp_path, TransformersEngine, max_steps=4).train()
    rows = list(read_jsonl(tmp_path / "metrics.jsonl"))
    assert ["logprob_gap_mean" in row for row in rows] == [True, True, False, True]
    assert all(row["logprob_gap_mean"] < 1e-4 for row in rows if "logprob_gap_mean" in row)


def test_mismatch_stops_the_run(tiny: LoadedModel, tmp_path: Path) -> None:
    randomise(tiny.model)
    with pytest.raises(RunError, match="stopped at step 0: the rollout engine answers as the base model"):
        watched(tiny, tmp_path, BaseModelEngine).train()


def test_changed_base_weights_stop_the_run(tiny: LoadedModel, tmp_path: Path) -> None:
    trainer = watched(tiny, tmp_path, TransformersEngine, max_steps=4)
    frozen = next(w for w in tiny.model.parameters() if not w.requires_grad)
    step = trainer.training_step

    def merging(*arguments: Any) -> Any:
        frozen.data.view(-1)[7] += 1e-3
        return step(*arguments)

    trainer.training_step = merging
    try:
        with pytest.raises(RunError, match="stopped at step 2: base weights that are not trained have changed"):
            trainer.train()
    finally:
        frozen.data.view(-1)[7] -= 2e-3


class WholeEngine(TransformersEngine):
    """What an engine does that reports log-probabilities over the vocabulary, whatever it truncates."""

    def generate(self, *arguments: Any, **options: Any) -> list[Generation]:
        return over_vocabulary(super().generate(*arguments, **options), self.model, SAMPLINGS[1])


def test_untruncated_logprobs_are_a_mismatch(tiny: LoadedModel) -> None:
    """What TRL compares under top-p: the mass that is kept is in the gap."""
    wrong = policy_check.mismatch(agreed(tiny, WholeEngine, SAMPLINGS[1]), policy_check.rounding_of("fp32"))
    assert "disagree by" in wrong
