"""A training run's folder without the training: a tiny random model under a random LoRA."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from configs.run_directory import RunDir, write_json
from configs.run_record import HELD_OUT_FILE, RUN_FILE, LoadedWeights, read_record
from configs.schema.sft import SftConfig
from data.corpus import load_traces
from data.problem_file import write_problems
from data.splits import split_traces
from data.think_format import resolve_think_format
from models.source import source_of
from tests.tiny import tiny_model, tiny_tokenizer

DATA = {"source": "arithmetic", "limit": 60, "seed": 1, "params": {"largest": 20}}
HELD_OUT = {"source": "arithmetic", "limit": 50, "seed": 2, "params": {"largest": 20}}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LICENCE = "---\nlicense: apache-2.0\n---\n# A base\n"


def tiny_base(folder: Path, kind: str = "llama", tied: bool = False, rope: dict[str, Any] | None = None) -> Path:
    """A random model ("llama", "qwen2", "qwen3") with a licence; calm layers: rounding stays small, yet it is sharp.

    `rope` scales its rotary embeddings.
    """
    _write_model(folder, kind, tied, rope or {"rope_type": "default"})
    (folder / "README.md").write_text(LICENCE)
    return folder


def _write_model(folder: Path, kind: str, tied: bool, rope: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny_tokenizer()
    config = AutoConfig.for_model(
        kind,
        vocab_size=264,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=128 if kind == "qwen3" else 32,  # Transformers reads no head size out of a Qwen3 GGUF
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=tied,
        initializer_range=0.05,
        rope_parameters={"rope_theta": 10_000.0} | rope,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith((".bias", "q_norm.weight", "k_norm.weight")):  # as 0 and 1, losing one would not show
                    weight.add_(torch.randn_like(weight), alpha=0.1)
    with torch.no_grad():
        (model.model.norm.weight if tied else model.lm_head.weight).mul_(40.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_run(
    folder: Path, base: Path, rank: int = 4, strength: float = 0.05, targets: Any = "all-linear", **config: Any
) -> Path:
    """A run folder as `sft.train` leaves one; `strength` is the spread of the LoRA's B (0: it does nothing)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = source_of(str(base))
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        lora = get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
        )
        with torch.no_grad():
            for name, weight in lora.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0.0, strength)
    lora.save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "adapter")
    write_config(folder, base, **config)
    return folder


def whole_run(folder: Path, base: Path) -> Path:
    """A run folder of a training without LoRA: another random model on the same tokenizer."""
    tiny_model(folder / "model", seed=7, scale=4.0)
    write_config(folder, base, adapter=None)
    return folder


def write_config(folder: Path, base: Path, **config: Any) -> None:
    """What the run says of itself: recipe, record, held-out problems; `config` replaces sections of the recipe."""
    values: dict[str, Any] = {
        "model": {"name": str(base), "max_length": 256, "precision": "fp32"},
        "think_format": "s1",
        "data": DATA,
        "eval": {"data": HELD_OUT, "max_tokens": 12},
        "output_dir": str(folder),
    }
    recipe = SftConfig.model_validate(values | config)
    held_out = [] if recipe.eval is None else split_traces(load_traces(recipe.data), recipe.eval, recipe.data.seed)[1]
    RunDir(folder).start(
        recipe,
        loaded=LoadedWeights(str(base), str(base), "transformers", recipe.model.precision),
        think_format=asdict(resolve_think_format(recipe.think_format)),
        held_out=HELD_OUT_FILE if held_out else None,
    )
    if held_out:
        write_problems(folder / HELD_OUT_FILE, held_out)


def tell(run: Path, **loaded: str) -> None:
    """What `run`'s training says it loaded."""
    record = read_record(run)
    assert record is not None
    assert record.loaded is not None
    write_json(run / RUN_FILE, replace(record, loaded=replace(record.loaded, **loaded)).to_json())
