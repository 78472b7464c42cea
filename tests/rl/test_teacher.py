"""On-policy distillation: what a teacher adds to the advantages, and what the loss makes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerState

from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig, SamplingConfig
from data.prompts import token_ids
from data.think_format import S1
from models.engines.transformers import TransformersEngine
from models.frozen import ADAPTER, FrozenModel, shares_base
from models.load import LoadedModel, load_model
from rewards.composition import Member, RewardSet
from rl import teacher
from rl.rollout import prompts
from rl.teacher import CLIP, Lesson, answer_start, with_solution
from tests.rl.trainers import PROBLEMS, built, gradients, randomise, recipe
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine

NO_REWARDS = RewardSet([])
BUDGET = {"budget": {"max_thinking": 6, "max_answer": 8, "final_answer_text": "A:"}}
ROLLOUTS: list[dict[str, Any]] = [{}, BUDGET]
SOLVED = [replace(problem, solution=f"{problem.question[0]} and 1 more") for problem in PROBLEMS]


@pytest.fixture
def student(tmp_path: Path) -> LoadedModel:
    """A student of its own: teachers leave adapters on it."""
    folder = tiny_model(tmp_path / "student")
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4, alpha=8))
    randomise(loaded.model)
    return loaded


@pytest.fixture
def other(tmp_path: Path) -> dict[str, Any]:
    """Another model as the teacher, with a padded vocabulary of another size."""
    folder = tiny_model(tmp_path / "teacher", seed=1, vocabulary=272)
    return {"model": {"name": str(folder), "precision": "fp32"}}


@pytest.fixture
def adapter(student: LoadedModel, tmp_path: Path) -> str:
    """The student's adapter as it is, in a folder."""
    student.model.save_pretrained(str(tmp_path / "adapter"))
    return str(tmp_path / "adapter")


def trainer_of(student: LoadedModel, folder: Path, section: dict[str, Any], **options: Any) -> Any:
    rewards = options.pop("rewards", NO_REWARDS)
    return built(student, folder / "run", rewards, teacher=section, **({"max_completion_length": 24} | options))


def drawn(trainer: Any) -> dict[str, Any]:
    """A generation of two problems, as the trainer's batch."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    batch: dict[str, Any] = trainer.draw([{"prompt": "", "problem": at} for at in (0, 1) for _ in range(4)])
    return batch


def figure(trainer: Any, name: str) -> float:
    return float(trainer._metrics["train"][name][-1])


def rows_of(batch: dict[str, Any]) -> list[tuple[list[int], list[int], torch.Tensor]]:
    """(prompt ids, completion ids, which of these the policy chose) of each row, without padding."""
    chosen = batch["completion_mask"] * batch.get("tool_mask", torch.ones_like(batch["completion_mask"]))
    return [
        (prompt[mask.bool()].tolist(), ids[kept.bool()].tolist(), counts[kept.bool()])
        for prompt, mask, ids, kept, counts in zip(
            batch["prompt_ids"], batch["prompt_mask"], batch["completion_ids"], batch["completion_mask"], chosen,
            strict=True,
        )
    ]  # fmt: skip


def logprobs(model: Any, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """(C,) by the definition, with gradients."""
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    found: torch.Tensor = logits.log_softmax(-1)[range(len(completion)), completion]
    return found


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=["plain", "budget"])
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_gradient_is_that_of_the_reverse_kl(
    student: LoadedModel,
    other: dict[str, Any],
    tmp_path: Path,
    rollout: dict[str, Any],
    packed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written by hand, a row at a time: Σ (log π_s − log π_t) ∇ log π_s over the tokens that the policy chose, ÷ N."""
    monkeypatch.setattr("rl.trainer.can_pack", lambda _: packed)
    trainer = trainer_of(student, tmp_path, other, rollout=rollout)
    batch = drawn(trainer)
    ours = gradients(trainer, trainer.compute_loss, batch)

    teaching = load_model(ModelConfig.model_validate(other["model"])).model
    known = len(student.tokenizer)
    trainer.model.zero_grad()
    losses, count = [], 0
    for prompt, completion, chosen in rows_of(batch):
        taught = chosen.bool() & ((torch.tensor(completion) >= known).cumsum(0) == 0)
        mine, theirs = logprobs(trainer.model, prompt, completion), logprobs(teaching, prompt, completion)
        losses.append(((mine - theirs).detach() * mine * taught).sum())
        count += int(chosen.sum())
    (torch.stack(losses).sum() / count).backward()
    by_hand = [parameter.grad for parameter in trainer.model.parameters() if parameter.requires_grad]
    assert max(gradient.abs().max() for gradient in by_hand) > 1e-3
    for one, theirs in zip(ours[1:], by_hand, strict=True):
        torch.testing.assert_close(one, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=["plain", "budget"])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.8, "temperature": 0.7}, {"num_iterations": 2}], ids=str)
def test_teacher_like_the_student_teaches_nothing(
    student: LoadedModel, adapter: str, tmp_path: Path, rollout: dict[str, Any], options: dict[str, Any]
) -> None:
    section = {"model": {"name": student.base, "adapter": adapter}}
    trainer = trainer_of(student, tmp_path, section, rollout=rollout, **options)
    batch = drawn(trainer)
    assert batch["advantages"].shape == batch["completion_ids"].shape
    assert batch["advantages"].abs().max() < 1e-4
    assert figure(trainer, "teacher_kl") == pytest.approx(0.0, abs=1e-4)
    assert figure(trainer, "taught_share") > 0.3


def test_forced_tokens_are_not_taught(student: LoadedModel, other: dict[str, Any], tmp_path: Path) -> None:
    batch = drawn(trainer_of(student, tmp_path, other, rollout=BUDGET))
    forced = (batch["completion_mask"] * (1 - batch["tool_mask"])).bool()
    assert forced.any()
    assert (batch["advantages"][forced] == 0).all()
    assert (batch["advantages"][~forced & batch["completion_mask"].bool()] != 0).float().mean() > 0.8


def test_teacher_adds_to_the_rewards(student: LoadedModel, other: dict[str, Any], tmp_path: Path) -> None:
    rewards = RewardSet([Member("r", lambda rollouts: [float(i % 2) for i in range(len(rollouts))])])
    section = other | {"weight": 0.5}
    found = []
    for folder, weight in ((tmp_path / "half", 0.5), (tmp_path / "whole", 1.0)):
        torch.manual_seed(0)
        found.append(drawn(trainer_of(student, folder, section | {"weight": weight}, rewards=rewards))["advantages"])
    of_teacher = 2 * (found[1] - found[0])
    of_rewards = found[0] - 0.5 * of_teacher
    assert of_teacher.abs().max() <= CLIP
    assert of_teacher.abs().mean() > 0.1
    expected = torch.tensor([-1.0, 1.0] * 4)[:, None].expand_as(of_rewards) * 0.866
    torch.testing.assert_close(of_rewards, expected, atol=1e-2, rtol=0)


def test_student_comes_nearer_to_its_teacher(student: LoadedModel, adapter: str, tmp_path: Path) -> None:
    with torch.no_grad():
        for name, weight in student.model.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    problems = [replace(PROBLEMS[0], id=str(at), question=f"{at} + 1?") for at in range(8)]
    options: dict[str, Any] = {"max_steps": 30, "learning_rate": 3e-3, "lr_scheduler_type": "constant"}
    options |= {"max_completion_length": 12, "per_device_train_batch_size": 32, "problems": problems}
    trainer = trainer_of(student, tmp_path, {"model": {"name": student.base, "adapter": adapter}}, **options)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "teacher_kl" in row]
    kl = [row["teacher_kl"] for row in rows]
    assert len(kl) == 30
    assert sum(kl[-5:]) < 0.6 * sum(kl[:5])
    assert not [name for row in rows for name in row if name.startswith(("reward", "frac_reward", "dropped"))]


def test_adapter_shares_the_base_weights(student: LoadedModel, adapter: str, tmp_path: Path) -> None:
    """Switched on, the teacher's adapter says what it says on weights of its own; switched off, all is as before."""
    section = ModelConfig(name=student.base, adapter=adapter, precision="fp32")
    config = recipe(student, rewards=[], teacher={"model": section.model_dump()})
    ids = torch.tensor([[1, 40, 50, 60]])
    apart = load_model(section).model
    with torch.no_grad():
        for name, weight in student.model.named_parameters():
            if "lora_B" in name:
                weight.neg_()  # training goes on, the teacher stays
        before = student.model(ids).logits
    frozen = FrozenModel(section, config, student.model)
    assert shares_base(section, config)
    assert frozen.model is None
    with frozen.answering(student.model) as model:
        torch.testing.assert_close(model(ids).logits, apart(ids).logits)
    torch.testing.assert_close(student.model(ids).logits, before)
    trained = {name for name, parameter in student.model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(".default." in name for name in trained)
    assert any(f".{ADAPTER}." in name for name, _ in student.model.named_parameters())


def test_base_alone_teaches_without_weights_of_its_own(student: LoadedModel) -> None:
    section = ModelConfig(name=student.base, precision="fp32")
    config = recipe(student, rewards=[], teacher={"model": section.model_dump()})
    ids = torch.tensor([[1, 40, 50, 60]])
    with FrozenModel(section, config, student.model).answering(student.model) as model:
        found = model(ids).logits
    torch.testing.assert_close(found, load_model(section).model(ids).logits)
    assert all(p.requires_grad for name, p in student.model.named_parameters() if "lora" in name)


@pytest.mark.parametrize(
    ("change", "shares"),
    [({}, True), ({"precision": "fp32"}, True), ({"precision": "bf16"}, False), ({"name": "someone/else"}, False)],
)
def test_base_is_shared_where_it_is_the_same(student: LoadedModel, change: dict[str, str], shares: bool) -> None:
    section = ModelConfig(name=student.base).model_copy(update=change)
    assert shares_base(section, recipe(student)) == shares
    assert not shares_base(section, recipe(student, adapter=None))


def test_solution_stands_in_the_question(student: LoadedModel, tmp_path: Path) -> None:
    trainer = trainer_of(student, tmp_path, {"self": True, "sees": "solution"}, problems=SOLVED)
    batch = drawn(trainer)
    [seen] = prompts([with_solution(SOLVED[1])], student.tokenizer, S1)
    turn = f"{SOLVED[1].question}\n\nA correct solution, for you alone:\n1 and 1 more\nAnswer: 2\n\n"
    assert f"<|im_start|>user\n{turn}" in seen
    assert seen.endswith("<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\n")
    ids = token_ids(student.tokenizer, [seen])[0]
    with torch.no_grad(), student.model.disable_adapter():  # a fresh adapter's start is the base
        values = [logprobs(student.model, ids, completion) for _, completion, _ in rows_of(batch)[4:]]
    for row, value in enumerate(values, 4):
        completion = batch["completion_ids"][row, : len(value)]
        expected = value - batch["sampling_per_token_logps"][row, : len(value)]
        known = (completion >= len(student.tokenizer)).long().cumsum(0) == 0
        torch.testing.assert_close(batch["advantages"][row, : len(value)], expected * known, atol=1e-4, rtol=1e-4)


def test_long_thinking_stands_before_the_answer(student: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersEngine(student.model, student.tokenizer, S1, 256)
    longer = {"self": True, "budget": {"max_thinking": 40}}
    config = recipe(student, rollout=BUDGET, rewards=[], teacher=longer, trainer={"max_completion_length": 24})
    sampler = built(
        student, Path(student.base) / "run", NO_REWARDS, rollout=BUDGET, engine=engine, max_completion_length=24
    ).sampler
    batch, _ = sampler.draw([0] * 4 + [1] * 4, student.model, TrainerState())
    asked: list[Any] = []
    draw = engine.generate

    def generate(requests: Any) -> Any:
        asked.extend(draw(requests))
        return asked

    monkeypatch.setattr(engine, "generate", generate)
    found = teacher.ThinkingLessons(engine, teacher.thinking_budget(config), SamplingConfig())(batch)
    assert [len(asked), len(found)] == [2, 8]
    taught = 0
    for at, (lesson, mine) in enumerate(zip(found, batch.generations, strict=True)):
        long = asked[at // 4]
        text = student.tokenizer.decode(lesson.prompt)
        assert lesson.prompt[: len(mine.prompt_ids)] == mine.prompt_ids
        assert text.endswith(S1.end) or not long.answer_tokens
        if lesson.start < lesson.end:
            taught += 1
            answer = student.tokenizer.decode(mine.token_ids[lesson.start : lesson.end])
            assert answer.startswith(mine.answer[:1])
            assert S1.end not in answer
            assert lesson.end == len(mine.token_ids)
    assert taught
    assert max(g.thinking_tokens for g in asked) > 8


def test_answer_that_is_not_there_is_not_taught(student: LoadedModel) -> None:
    engine = TransformersEngine(student.model, student.tokenizer, S1, 256)
    sampler = built(
        student, Path(student.base) / "run", NO_REWARDS, rollout=BUDGET, engine=engine, max_completion_length=24
    ).sampler
    batch, _ = sampler.draw([0] * 4, student.model, TrainerState())
    mine = next(g for g in batch.generations if g.answer_tokens)
    cut = replace(mine, answer_tokens=0)
    assert teacher._answer_lesson(mine, mine) == Lesson(
        (*mine.prompt_ids, *mine.token_ids[: answer_start(mine)]), answer_start(mine), len(mine.token_ids)
    )
    for pair in ((cut, mine), (mine, cut)):
        lesson = teacher._answer_lesson(*pair)
        assert lesson.start >= lesson.end


def test_ids_beyond_the_vocabulary_end_a_lesson(student: LoadedModel, other: dict[str, Any], tmp_path: Path) -> None:
    trainer = trainer_of(student, tmp_path, other)
    trainer.teacher.ids = 100
    batch = drawn(trainer)
    for row, ids in enumerate(batch["completion_ids"].tolist()):
        first = next((at for at, token in enumerate(ids) if token >= 100), len(ids))
        assert (batch["advantages"][row, first:] == 0).all()
    assert (batch["advantages"] != 0).any()
