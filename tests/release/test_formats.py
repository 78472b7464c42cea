"""Exports of a tiny run, loaded as others load them, against the run itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ModelError, RunError
from data.chat_template import PROBES, carrying, render_template
from release.formats import write_exports
from release.targets import folder_of
from tests.tiny_run import LLAMA3, tell, tiny_base, tiny_run, whole_run, write_config
from training.finished_run import open_run

pytestmark = pytest.mark.engine

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
TARGETS = ["adapter", "merged16", "nf4", "gguf:f16", "gguf:q8_0"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"), base)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    return write_exports(run, TARGETS, tmp_path_factory.mktemp("exports") / "all")


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model.eval()(torch.arange(3, 120)[None]).logits[0]


def trained_logits(run: Path, base: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(run / "adapter")))


def load(folder: Path, **options: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, **{"dtype": torch.float32, **options})


def agreement(a: Any, b: Any) -> float:
    return float((a.argmax(-1) == b.argmax(-1)).float().mean())


def test_merge_is_fp32_then_cast(run: Path, base: Path, out: Path) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file

    merged = PeftModel.from_pretrained(load(base), str(run / "adapter")).merge_and_unload().state_dict()
    stored = load_file(out / "merged16" / "model.safetensors")
    assert stored.keys() == merged.keys()
    for name, tensor in stored.items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, merged[name].to(torch.bfloat16)), name
    before = load(base).state_dict()
    assert not torch.equal(merged["model.layers.0.mlp.up_proj.weight"], before["model.layers.0.mlp.up_proj.weight"])


def test_base_folder_is_unchanged(run: Path, base: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in base.iterdir()}
    write_exports(run, ["merged16"], tmp_path / "out")
    assert {path: path.read_bytes() for path in base.iterdir()} == before


def test_exported_adapter_loads_with_peft(run: Path, base: Path, out: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM

    model = AutoPeftModelForCausalLM.from_pretrained(str(out / "adapter"))
    assert torch.equal(logits(model), trained_logits(run, base))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [False, True])
def test_transformers_reads_gguf(tmp_path: Path, kind: str, tied: bool) -> None:
    """Qwen2 has biases, Qwen3 norms of queries and keys."""
    from gguf import GGUFReader

    base = tiny_base(tmp_path / "base", kind, tied)
    run = tiny_run(tmp_path / "run", base)
    out = write_exports(run, ["gguf:f16", "gguf:q8_0"], tmp_path / "out")
    wanted = trained_logits(run, base)
    for target, least in (("f16", 0.99), ("q8_0", 0.9)):  # random weights have nearer ties than trained ones
        found = logits(load(out / f"gguf-{target}", gguf_file=f"model-{target}.gguf"))
        assert agreement(found, wanted) >= least
        assert agreement(found, logits(load(base))) < 0.9
    stored = {tensor.name: tensor.data for tensor in GGUFReader(out / "gguf-q8_0" / "model-q8_0.gguf").tensors}
    assert ("output.weight" in stored) == (not tied)
    own = {"qwen2": ["blk.1.attn_k.bias"], "qwen3": ["blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight"]}
    for name in own.get(kind, []):
        assert stored[name].std() > 0.01


@pytest.mark.parametrize(
    ("kind", "rope"),
    [
        ("llama", LLAMA3),
        ("llama", {"rope_type": "linear", "factor": 4.0}),
        ("qwen2", YARN),
        ("qwen3", YARN | {"beta_fast": 32, "beta_slow": 1.0, "attention_factor": None}),
    ],
)
def test_gguf_keeps_rope_scaling(tmp_path: Path, kind: str, rope: dict[str, Any]) -> None:
    from gguf import GGUFReader

    from models import gguf_rope

    base = tiny_base(tmp_path / "base", kind, rope=rope)
    run = tiny_run(tmp_path / "run", base)
    folder = write_exports(run, ["gguf:f16"], tmp_path / "out") / "gguf-f16"
    wanted = trained_logits(run, base)
    model = load(folder, gguf_file="model-f16.gguf")
    unscaled = logits(model)
    gguf_rope.restore(model, GGUFReader(folder / "model-f16.gguf"))
    assert (logits(model) - wanted).abs().max() < 0.01 * (unscaled - wanted).abs().max()
    assert agreement(logits(model), wanted) >= 0.99


@pytest.mark.parametrize(("head", "factor"), [(64, 32.0), (128, 32.0), (128, 8.0)])
def test_llama3_divisors_equal_transformers(head: int, factor: float) -> None:
    """Llama 3.2 1B, 3.2 3B and 3.1 8B."""
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from models.gguf_rope import divisors

    published = {"rope_theta": 500_000.0, "factor": factor, "original_max_position_embeddings": 8192}
    config = LlamaConfig(head_dim=head, rope_parameters=LLAMA3 | published)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, None)
    plain = 500_000.0 ** -(torch.arange(0, head, 2).double() / head)
    found = divisors(config)
    assert found is not None
    assert found.shape == (head // 2,)
    assert (found.min(), found.max()) == (1, factor)
    torch.testing.assert_close(plain / torch.from_numpy(found), scaled.double(), rtol=1e-6, atol=0)


def test_gguf_has_llama_cpp_metadata(out: Path) -> None:
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    reader = GGUFReader(out / "gguf-q8_0" / "model-q8_0.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tokenizer = AutoTokenizer.from_pretrained(out / "gguf-q8_0")
    assert fields["general.architecture"] == "llama"
    assert fields["tokenizer.ggml.pre"] == "gpt-2"
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert fields["tokenizer.chat_template"] == tokenizer.chat_template
    assert fields["tokenizer.ggml.add_bos_token"] is False
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert len(tokens) == len(types) == 264
    assert types[:4] == [3, 3, 3, 1]  # control, control, control, normal
    assert types[-1] == 5  # unused: the vocabulary is padded
    stored = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert (stored["blk.0.attn_norm.weight"], stored["blk.0.attn_q.weight"]) == ("F32", "Q8_0")
    assert json.loads(fields["mull.think_format"])["name"] == "s1"


def test_nf4_export_loads(out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(out / "nf4", dtype=torch.bfloat16)
    assert model.is_loaded_in_4bit
    assert torch.isfinite(model(torch.arange(3, 20)[None]).logits).all()


@pytest.mark.parametrize("target", TARGETS)
def test_export_carries_template_and_licence(run: Path, out: Path, target: str) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    from data.prompts import render_prompt

    folder = out / folder_of(target)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trained = AutoTokenizer.from_pretrained(run / "adapter")
    think_format = open_run(run).think_format
    for question, history in PROBES:
        wanted = render_prompt(trained, question, think_format, history=history)
        assert render_template(tokenizer, tokenizer.chat_template, question, history) == wanted
    config = GenerationConfig.from_pretrained(folder)
    assert config.eos_token_id == tokenizer.eos_token_id == 2
    assert config.think_format["end"] == think_format.end
    assert "apache-2.0" in (folder / "LICENSE").read_text()


@pytest.mark.parametrize("name", ["s1", "deepseek", "xml"])
def test_template_carries_think_format_once(run: Path, name: str) -> None:
    from transformers import AutoTokenizer

    from data.prompts import render_prompt
    from data.think_format import THINK_FORMATS

    tokenizer = AutoTokenizer.from_pretrained(run / "adapter")
    think_format = THINK_FORMATS[name]
    wanted = [render_prompt(tokenizer, question, think_format, history=history) for question, history in PROBES]
    tokenizer.chat_template = carrying(tokenizer, think_format)
    assert [render_template(tokenizer, tokenizer.chat_template, *probe) for probe in PROBES] == wanted
    assert carrying(tokenizer, think_format) == tokenizer.chat_template
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert text.count("system\n") == 1


def test_run_without_lora_is_exported_whole(tmp_path: Path, base: Path) -> None:
    import torch

    run = whole_run(tmp_path / "run", base)
    out = write_exports(run, ["merged16", "gguf:f16"], tmp_path / "out")
    wanted = logits(load(run / "model", dtype=torch.bfloat16).float())
    assert torch.equal(logits(load(out / "merged16")), wanted)
    with pytest.raises(ModelError, match="has no adapter; export merged16"):
        write_exports(run, ["adapter"], tmp_path / "other")


def test_run_on_gguf_exports_all(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its base are the file's weights in the cache, which PEFT finds by what the adapter says."""
    import torch
    from peft import AutoPeftModelForCausalLM

    monkeypatch.setenv("MULL_CACHE", str(tmp_path / "cache"))
    run = tiny_run(tmp_path / "run", out / "gguf-f16" / "model-f16.gguf")
    exported = write_exports(run, ["adapter", "merged16"], tmp_path / "exports")
    adapted = AutoPeftModelForCausalLM.from_pretrained(exported / "adapter", dtype=torch.bfloat16)
    assert agreement(logits(adapted.float()), logits(load(exported / "merged16"))) >= 0.99


def test_run_on_nf4_exports_adapter_only(tmp_path: Path, out: Path) -> None:
    run = tiny_run(tmp_path / "run", out / "nf4")
    write_exports(run, ["adapter"], tmp_path / "adapter")
    with pytest.raises(ModelError, match="is quantised itself; export `adapter` alone"):
        write_exports(run, ["merged16"], tmp_path / "merged")


def test_run_records_base_precision(base: Path, tmp_path: Path) -> None:
    from configs.recipe import load_recipe
    from configs.run_directory import RunDir
    from models.load import load_model
    from training.trainer import save_product, start_run

    config = load_recipe("sft", "demo", [f"model.name={base}", f"output_dir={tmp_path / 'run'}"])
    assert config.model.precision == "auto"
    loaded = load_model(config.model.model_copy(update={"precision": "nf4"}), config.adapter)  # as a GPU decides
    run = RunDir(config.output_dir)
    start_run(run, config, loaded, [], resume=False)
    save_product(loaded.model, loaded.tokenizer, run)
    assert open_run(run.path).precision == "nf4"


def test_recorded_base_copy_is_accepted(tmp_path: Path, base: Path) -> None:
    """Unsloth's 4-bit copies are called as it likes."""
    name, copy = "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "unsloth/tinyllama-chat-bnb-4bit"
    run = tiny_run(tmp_path / "run", base)
    write_config(run, Path(name))
    file = run / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": copy}))
    with pytest.raises(ModelError, match="was trained on unsloth/tinyllama-chat-bnb-4bit"):
        open_run(run)
    tell(run, name=name, base=copy, precision="nf4")
    found = open_run(run)
    assert (found.base, found.trained_base, found.precision) == (name, copy, "nf4")
    write_config(run, Path("org/another-model"))
    with pytest.raises(ModelError, match="was trained on unsloth/tinyllama-chat-bnb-4bit"):
        open_run(run)


def test_generation_config_eos_is_exported(tmp_path: Path) -> None:
    from transformers import GenerationConfig

    from release.gate import gate

    base = tiny_base(tmp_path / "base")
    GenerationConfig(eos_token_id=[2, 0]).save_pretrained(base)
    run = tiny_run(tmp_path / "run", base)
    out = write_exports(run, ["adapter", "merged16", "gguf:f16"], tmp_path / "out")
    for folder in ("adapter", "merged16", "gguf-f16"):
        assert GenerationConfig.from_pretrained(out / folder).eos_token_id == [2, 0]
    report = gate(out, run)
    report.require()
    assert "ids [2, 0]" in report.model_dump_json()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.yaml", "", "missing, and it has no default.*; name the output_dir of sft.train or rl.grpo"),
        ("config.yaml", "model: {name: x}\nanswers: y\ndata: {source: x}\n", "answers: unknown key; .*; name the"),
        ("config.yaml", "model: [1\n", r"config\.yaml: not valid YAML: "),
        ("run.json", "{", r"run\.json: can't be read: "),
        ("run.json", '{"stage": "eval", "command": "x", "versions": {}}', "a run of eval, not of a training; name the"),
    ],
)
def test_foreign_folder_is_no_run(run: Path, tmp_path: Path, name: str, text: str, words: str) -> None:
    broken = shutil.copytree(run, tmp_path / "run")
    (broken / name).write_text(text)
    with pytest.raises(RunError, match=words):
        open_run(broken)


def test_large_weights_are_sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    import torch

    whole = logits(load(write_exports(run, ["merged16"], tmp_path / "whole") / "merged16"))
    monkeypatch.setattr("release.formats.LEAST_SHARD_BYTES", 1000)
    out = write_exports(run, ["merged16"], tmp_path / "out") / "merged16"
    assert len(list(out.glob("*.safetensors"))) > 3
    assert torch.equal(logits(load(out)), whole)


def test_used_folder_is_not_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(RunError, match="is in use; remove it, or name another"):
        write_exports(run, ["adapter"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def break_base(run: Path, base: Path) -> None:
    write_config(run, base.with_name("gone"))


def break_name(run: Path, base: Path) -> None:
    file = run / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "org/another-model"}))


def break_shape(run: Path, base: Path) -> None:
    """The base of the same name has other layers now."""
    config = json.loads((base / "config.json").read_text())
    other = base.parent / "other" / base.name
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**(config | {"intermediate_size": 96})))
    model.save_pretrained(other)
    AutoTokenizer.from_pretrained(base).save_pretrained(other)
    write_config(run, other)


def break_product(run: Path, base: Path) -> None:
    (run / "adapter" / "adapter_model.safetensors").unlink()


def break_config(run: Path, base: Path) -> None:
    (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (break_base, ModelError, r"its base model is gone: .*put it back, or correct model\.name"),
        (break_name, ModelError, "was trained on org/another-model"),
        (break_shape, ModelError, "does not fit the base model"),
        (break_product, ModelError, r"no adapter_model\.safetensors"),
        (break_config, RunError, r"no run folder \(no config\.yaml\)"),
    ],
)
def test_failed_export_leaves_nothing(tmp_path: Path, spoil: Any, error: type[Exception], words: str) -> None:
    base = tiny_base(tmp_path / "base")
    run = tiny_run(tmp_path / "run", base)
    spoil(run, base)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=words) as raised:
        write_exports(run, ["adapter", "merged16"], tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["merged"], "'merged' is none of adapter, merged16"),
        (["gguf:q4_k_m"], r"needs llama\.cpp's `llama-quantize` on the PATH"),
        ([], "name each export once"),
        (["adapter", "adapter"], "name each export once"),
    ],
)
def test_unknown_target_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: list[str], words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match=words):
        write_exports(run, targets, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gguf_refuses_unsupported_models(tmp_path: Path, base: Path, run: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    from release.gguf import writer

    tokenizer = AutoTokenizer.from_pretrained(base)
    config = AutoConfig.from_pretrained(base)
    writer.check_gguf(config, tokenizer, tokenizer.chat_template)
    with pytest.raises(ModelError, match="this is mistral; export merged16 and convert it with"):
        writer.check_gguf(AutoConfig.for_model("mistral"), tokenizer, "")
    for kind, rope, words in (
        (
            "llama",
            {"rope_type": "dynamic", "factor": 2.0},
            "scaled as default, linear, yarn, llama3, this has 'dynamic'",
        ),
        ("llama", YARN | {"attention_factor": 1.1}, "yarn .* this model differs in attention_factor"),
        ("llama", YARN | {"factor": None}, "yarn .* this model differs in factor"),
        ("qwen2", YARN | {"beta_fast": 16.0}, "yarn .* this model differs in beta_fast"),
        (
            "llama",
            {"rope_type": "default", "partial_rotary_factor": 0.5},
            "shaped by nothing alone; this model differs in partial_rotary_factor",
        ),
        ("qwen3", LLAMA3, "llama3 for llama alone, this is qwen3"),
    ):
        scaled = AutoConfig.for_model(kind, rope_parameters={"rope_theta": 1e4} | rope)
        with pytest.raises(ModelError, match=words):
            writer.check_gguf(scaled, tokenizer, "")


@pytest.mark.parametrize(("pattern", "name"), [(r"\p{N}{1,3}", "llama-bpe"), (r"\p{N}", "qwen2"), (r"\d+", None)])
def test_pre_tokenizer_gets_llama_cpp_name(base: Path, pattern: str, name: str | None) -> None:
    from tokenizers import Regex, pre_tokenizers
    from transformers import AutoTokenizer

    from release.gguf.vocabulary import pre_tokenizer

    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    regex = words + pattern + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer = AutoTokenizer.from_pretrained(base)
    steps = [pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if name is None:
        with pytest.raises(ModelError, match="is not known here"):
            pre_tokenizer(tokenizer)
    else:
        assert pre_tokenizer(tokenizer) == name
    digits = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(digits)
    assert pre_tokenizer(tokenizer) == "smollm"
