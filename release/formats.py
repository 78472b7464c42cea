"""A trained run → what other programs load: an adapter, merged weights, 4-bit weights, GGUF.

Every export is a folder of its own with tokenizer, chat template (which carries the think format), generation config
and licence. All of them appear at once, or none.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase

from configs.errors import ModelError, RunError, first_line
from configs.run_directory import write_json
from configs.schema.publish import K_QUANTS
from data.chat_template import carrying
from models.engines.generation import end_of_turn
from models.gpu import dtype_of
from models.load import placement, quantization
from models.source import source_of
from release.gguf import writer
from release.licence import licence_of
from release.merge import Merger
from release.targets import check_targets, file_of, folder_of, made_from
from training.finished_run import TrainedRun, load_run_tokenizer, open_run

SHARD_BYTES = 4 << 30
LEAST_SHARD_BYTES = 1 << 20


def write_exports(run: str | Path, targets: Sequence[str], out: str | Path) -> Path:
    """Write `targets` of the run folder `run` into the new folder `out`, each under `folder_of(target)`; returns `out`.

    `out/export.json` lists them. Raises `RunError` if `out` is in use or `run` has no product, `ModelError` for a
    target that can't be made; then nothing is left behind.
    """
    out = Path(out)
    trained = open_run(run)
    check_targets(targets, trained)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"--out: {out} is in use; remove it, or name another")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        _write_all(trained, targets, partial)
        for path in (partial, *partial.rglob("*")):  # mkdtemp and safetensors write for their owner alone
            path.chmod(0o755 if path.is_dir() else 0o644)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise RunError(f"--out: {out} can't be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _write_all(run: TrainedRun, targets: Sequence[str], out: Path) -> None:
    tokenizer = load_run_tokenizer(run)
    template = carrying(tokenizer, run.think_format)
    merger = None if list(targets) == ["adapter"] else Merger(run)  # not every base can be merged into
    config = merger.config if merger else _base_config(run)
    config.eos_token_id = _ends(run, config, tokenizer)
    if any(target.startswith("gguf:") for target in targets):
        writer.check_gguf(config, tokenizer, template)
    licence, text = licence_of(run)
    for target in targets:
        folder = out / folder_of(target)
        folder.mkdir()
        if merger is None or target == "adapter":
            _write_adapter(run, folder)
        else:
            _write_one(run, target, folder, merger, tokenizer, template)
        _write_companions(run, folder, config, tokenizer, template)
        (folder / "LICENSE").write_text(text, encoding="utf-8")
    write_json(
        out / "export.json",
        {
            "exports": {target: folder_of(target) for target in targets},
            "base_model": run.hub_base or Path(run.base).name,
            "trained_precision": run.precision,
            "think_format": run.think_format.name,
            "license": licence,
            "made_from": made_from(run),
        },
    )


def _ends(run: TrainedRun, config: Any, tokenizer: PreTrainedTokenizerBase) -> int | list[int]:
    """Every id that ends a turn of the trained model, as a config holds them: its generation config may name more."""
    try:
        more = GenerationConfig.from_pretrained(source_of(run.base)).eos_token_id
    except OSError:  # it has none
        more = None
    eos = end_of_turn(tokenizer, config, more)
    return eos[0] if len(eos) == 1 else list(eos)


def _write_one(
    run: TrainedRun, target: str, folder: Path, merger: Merger, tokenizer: PreTrainedTokenizerBase, template: str
) -> None:
    if target == "merged16":
        write_merged(merger, folder)
    elif target == "nf4":
        _write_nf4(merger, folder)
    else:
        kind = target.removeprefix("gguf:")
        plain = "f16" if target in K_QUANTS else kind
        path = folder / file_of(f"gguf:{plain}")
        notes = json.dumps(asdict(run.think_format))
        writer.write_gguf(merger, tokenizer, template, path, plain, run.path.resolve().name, notes)
        if target in K_QUANTS:
            _quantize(path, folder / file_of(target), kind)


def _base_config(run: TrainedRun) -> Any:
    try:
        return AutoConfig.from_pretrained(source_of(run.base))
    except (OSError, ValueError) as error:
        name = run.config.model.name
        raise ModelError(f"model.name: {name} can't be loaded: {first_line(error)}") from error


def _write_adapter(run: TrainedRun, folder: Path) -> None:
    """The adapter as PEFT wrote it; its base is named as others can find it."""
    assert run.adapter is not None
    shutil.copy(run.adapter / "adapter_model.safetensors", folder)
    config = json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = run.hub_base or source_of(run.base)
    write_json(folder / "adapter_config.json", config | {"inference_mode": True})


def write_merged(merger: Merger, folder: Path) -> None:
    """Merged 16-bit safetensors and `config.json`; a shard in memory at a time."""
    dtype = merger.config.dtype if merger.config.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16
    meta = {name: torch.empty(merger.shapes[name], dtype=dtype, device="meta") for name in merger.names}
    total = sum(tensor.nbytes for tensor in meta.values())
    limit = max(LEAST_SHARD_BYTES, min(SHARD_BYTES, total // 4))
    plan = split_torch_state_dict_into_shards(meta, max_shard_size=limit)
    for file, names in plan.filename_to_tensors.items():
        # allocated ahead: between them, what merging needs for a moment would stay in pieces of the heap
        shard = {name: torch.empty(merger.shapes[name], dtype=dtype) for name in names}
        for name, tensor in merger.tensors(list(names)):
            shard[name].copy_(tensor)
        save_file(shard, folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": {"total_size": total}, "weight_map": plan.tensor_to_filename}
        write_json(folder / "model.safetensors.index.json", index)
    config = merger.config.__class__.from_dict(merger.config.to_dict() | {"dtype": dtype})
    config.architectures = [merger.model.__class__.__name__]
    config.save_pretrained(folder)


def _write_nf4(merger: Merger, folder: Path) -> None:
    """bitsandbytes NF4 of the merged weights, written by Transformers."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as merged:
        write_merged(merger, Path(merged))
        model = AutoModelForCausalLM.from_pretrained(
            merged,
            dtype=dtype_of("bf16"),
            quantization_config=quantization("nf4"),
            device_map=placement(merged, "nf4"),
        )
        model.config.name_or_path = ""
        model.save_pretrained(folder)


def _write_companions(
    run: TrainedRun, folder: Path, config: Any, tokenizer: PreTrainedTokenizerBase, template: str
) -> None:
    """Tokenizer with the template, and a generation config with the ends of a turn and the think format."""
    before, tokenizer.chat_template = tokenizer.chat_template, template
    tokenizer.save_pretrained(folder)
    tokenizer.chat_template = before
    GenerationConfig(
        eos_token_id=config.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        think_format=asdict(run.think_format),
    ).save_pretrained(folder)


def _quantize(plain: Path, target: Path, kind: str) -> None:
    """K-quants by llama.cpp's own tool; the f16 file it starts from goes."""
    done = subprocess.run(
        ["llama-quantize", str(plain), str(target), kind], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ModelError(f"--to: llama-quantize failed on {kind}: {(done.stderr or done.stdout).strip()[-200:]}")
    plain.unlink()
