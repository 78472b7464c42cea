"""Every type of adapter trains, comes back from its folder, is trained on, and decodes as PEFT's `generate` does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from configs.errors import ModelError
from configs.schema.adapters import AdapterConfig, LoraConfig
from configs.schema.sections import ModelConfig, SamplingConfig
from data.think_format import NONE
from models.adapters import count_virtual_tokens, type_on
from models.engines.base import Request
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from models.teacher_forcing import completion_logprobs, vocabulary_logprobs
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine

TYPES: list[dict[str, Any]] = [
    {"type": "lora", "r": 4},
    {"type": "dora", "r": 4},
    {"type": "adalora", "init_r": 4, "target_r": 2},
    {"type": "prefix", "virtual_tokens": 5},
    {"type": "p_tuning_v2", "virtual_tokens": 5, "hidden": 16},
    {"type": "p_tuning", "virtual_tokens": 5},
    {"type": "prompt", "virtual_tokens": 5},
    {"type": "prompt", "virtual_tokens": 5, "init_text": "Answer at once."},
]
PROMPTS = [range(5, 9), range(30, 39), range(90, 99), range(100, 130), range(5, 7), range(30, 39)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("tiny"), scale=4.0))


def loaded(
    tiny: str, adapter: dict[str, Any] | None, saved: Path | None = None, precision: Any = "fp32"
) -> LoadedModel:
    config = ModelConfig(name=tiny, precision=precision, adapter=str(saved) if saved else None)
    section: Any = TypeAdapter(AdapterConfig).validate_python(adapter) if adapter else None
    return load_model(config, section)


def trained(model: Any, steps: int = 8) -> list[float]:
    """Losses of a fixed batch, padded on the right as TRL pads it."""
    ids = torch.randint(3, 250, (2, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 18:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    losses = []
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    return losses


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).logits
    return found


@pytest.mark.parametrize("adapter", TYPES, ids=lambda a: "-".join(map(str, a.values())))
@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_trains_saves_loads_goes_on(tiny: str, tmp_path: Path, adapter: dict[str, Any], precision: str) -> None:
    if (adapter["type"], precision) == ("dora", "nf4"):
        pytest.skip("refused on a CPU: test_adapter_types.py")
    model = loaded(tiny, adapter, precision=precision).model
    assert type_on(model) == adapter["type"]
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    losses = trained(model)
    assert losses[-1] < losses[0]
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or name.startswith("prompt_encoder.") for name in moved)

    model.save_pretrained(str(tmp_path))
    on = loaded(tiny, {"type": "lora"}, tmp_path, precision)
    torch.testing.assert_close(logits(on.model), logits(model), rtol=1e-4, atol=1e-4 if precision == "fp32" else 0.5)
    assert trained(on.model, 4)[-1] < losses[0]
    if precision == "fp32":  # frozen 4-bit models compute in 16 bits, those in training in 32
        frozen = loaded(tiny, None, tmp_path).model
        torch.testing.assert_close(logits(frozen), logits(model), rtol=1e-4, atol=1e-4)
        assert not any(weight.requires_grad for weight in frozen.parameters())


@pytest.mark.parametrize("adapter", TYPES[:-1], ids=lambda a: str(a["type"]))
@pytest.mark.parametrize("is_saved", [False, True], ids=["training", "saved"])
def test_engine_decodes_as_generate(tiny: str, tmp_path: Path, adapter: dict[str, Any], is_saved: bool) -> None:
    """Unequal prompts in one batch, against PEFT on one at a time: it would pad between virtual tokens and a prompt."""
    one = loaded(tiny, adapter)
    trained(one.model, 3)
    if is_saved:
        one.model.save_pretrained(str(tmp_path))
        one = loaded(tiny, None, tmp_path)
    engine = TransformersEngine(one.model, one.tokenizer, NONE, 256, batch_size=4)
    greedy = SamplingConfig(temperature=0.0)
    found = engine.generate([Request(tuple(prompt), greedy, 16, logprobs=True) for prompt in PROMPTS])
    for prompt, generation in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([[*prompt]])
        own = one.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False, pad_token_id=0,
            eos_token_id=list(engine.eos),
        )  # fmt: skip
        assert list(generation.token_ids) == own[0, len(prompt) :].tolist()
        pair = (generation.prompt_ids, generation.token_ids)
        [vocabulary] = vocabulary_logprobs(one.model, [pair])
        forced = completion_logprobs(vocabulary, generation.token_ids).tolist()
        assert generation.logprobs == pytest.approx(forced, abs=1e-3)
    assert len({generation.token_ids for generation in found}) > 2
    assert count_virtual_tokens(one.model) == adapter.get("virtual_tokens", 0)


def test_virtual_tokens_take_a_saved_prompts_place(tiny: str, tmp_path: Path) -> None:
    """What a text or a network made of them is kept; the text and the network are not."""
    loaded(tiny, TYPES[-1]).model.save_pretrained(str(tmp_path / "text"))
    config = json.loads((tmp_path / "text" / "adapter_config.json").read_text())
    assert config["prompt_tuning_init_text"] is None
    assert config["tokenizer_name_or_path"] is None
    loaded(tiny, {"type": "p_tuning"}).model.save_pretrained(str(tmp_path / "network"))
    assert type_on(loaded(tiny, {"type": "lora"}, tmp_path / "network").model) == "prompt"


def test_adalora_does_not_train_its_count_of_ranks(tiny: str) -> None:
    model = loaded(tiny, TYPES[2], precision="nf4").model
    counts = [weight for name, weight in model.named_parameters() if ".ranknum." in name]
    assert counts
    assert not any(count.requires_grad for count in counts)


def test_dora_on_packed_weights_is_refused(tiny: str, tmp_path: Path) -> None:
    packed = loaded(tiny, None, precision="nf4")
    packed.model.save_pretrained(tmp_path)
    packed.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="DoRA reads the base weights"):
        loaded(str(tmp_path), TYPES[1], precision="bf16")


def test_adapter_of_another_base_is_refused(tiny: str, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", layers=1)
    loaded(str(other), TYPES[3]).model.save_pretrained(str(tmp_path / "prefix"))
    for section in (None, LoraConfig()):
        with pytest.raises(ModelError, match=r"model\.adapter: .*prefix does not fit"):
            load_model(ModelConfig(name=tiny, precision="fp32", adapter=str(tmp_path / "prefix")), section)
