"""GSM8K by lm-evaluation-harness's client against `mull serve`, beside our own evaluation of the same run.

    python -m benchmarks.harness RUN [--json FILE] [--problems N] [--max-thinking N] [--max-answer N]

Both ask the same prompts at temperature 0 under the same budget. The harness grades with the filters of its own gsm8k
task and exact match. Where the texts are the same, verdicts differ by extraction alone:

strict-match      wants "#### 18"; ours reads a box, "the answer is 18", or the value that the last sentence states too
flexible-extract  takes the last number of the text, also in "18, which is 3 times 6"; ours the one that is stated
exact match       compares spellings without "$" and ","; ours compares values: "18.0", "eighteen" and "36/2" are 18

same_text         share of problems with the same answer, but for white space around it
same_verdict      share on which flexible-extract and our grader say the same; `differ` lists the others
ours, flexible, strict   accuracies
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from budget_forcing.budget import Budget, resolve
from budget_forcing.tokens import encode, think_tokens
from budget_forcing.vllm_request import extra_args
from configs.errors import RunError
from configs.recipe import validate
from configs.run_directory import write_json
from configs.sample import Sample, read_samples
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from data.sources import load_problems
from evaluation.evaluate import evaluate
from training.finished_run import TrainedRun, load_run_tokenizer, open_run

STRICT, FLEXIBLE = r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
"""The patterns of the harness's own gsm8k task (lm_eval/tasks/gsm8k/gsm8k.yaml)."""
START = 500.0  # seconds that a server may take to start
Theirs = Mapping[str, tuple[str, str, bool, bool]]
"""Problem → (answer, what flexible-extract took, whether that is right, whether strict-match's is)."""


def eval_config(run: TrainedRun, problems: int, budget: Budget, output: Path) -> EvalConfig:
    """Our own evaluation of a run, greedy."""
    model = run.config.model.model_dump()
    model |= {"name": run.base, "adapter": str(run.adapter), "precision": run.precision, "backend": "transformers"}
    values = {
        "model": model if run.adapter else model | {"name": str(run.product), "adapter": None},
        "engine": {"name": "transformers"},
        "think_format": run.config.think_format,
        "data": {"source": "gsm8k", "limit": problems},
        "budgets": [{"max_thinking": budget.max_thinking, "max_answer": budget.max_answer}],
        "output_dir": str(output),
    }
    config: EvalConfig = validate("eval", values, "benchmark.yaml")
    return config


def task_of(problems: Sequence[Problem], run: TrainedRun, budget: Budget, folder: Path) -> dict[str, Any]:
    """A task of the harness over the same problems, which asks for the same budget."""
    rows = [{"id": one.id, "question": one.question, "answer": one.answer} for one in problems]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    tokenizer = load_run_tokenizer(run)
    tokens = think_tokens(run.think_format, tokenizer)
    limit = budget.max_thinking or 0
    asked = resolve(budget, tokens, tokenizer, 1, run.config.model.max_length)
    longest = limit + len(encode(tokenizer, run.think_format.end)) + budget.max_answer
    first = {"function": "take_first"}
    return {
        "task": "served_gsm8k",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "problems.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {
            "until": [],
            "do_sample": False,
            "temperature": 0.0,
            "max_gen_toks": longest,
            "vllm_xargs": extra_args(asked),
        },
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "ignore_punctuation": False,
                "regexes_to_ignore": [",", r"\$", "(?s).*#### ", r"\.$"],
            }
        ],
        "filter_list": [
            {"name": "strict", "filter": [{"function": "regex", "regex_pattern": STRICT}, first]},
            {
                "name": "flexible",
                "filter": [{"function": "regex", "group_select": -1, "regex_pattern": FLEXIBLE}, first],
            },
        ],
    }


def ask_server(url: str, model: str, task: dict[str, Any]) -> Theirs:
    """What the harness's client gets from the server at `url` (with `/v1`), and how it grades that."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    found = simple_evaluate(
        model="local-chat-completions",
        model_args={"model": model, "base_url": f"{url}/chat/completions", "num_concurrent": 8, "max_retries": 1},
        tasks=[task],
        task_manager=TaskManager(include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    assert found is not None
    rows = found["samples"][task["task"]]
    strict = {row["doc"]["id"]: bool(row["exact_match"]) for row in rows if row["filter"] == "strict"}
    return {
        id: (row["resps"][0][0] or "", row["filtered_resps"][0], bool(row["exact_match"]), strict[id])
        for row in rows
        if row["filter"] == "flexible" and (id := row["doc"]["id"])
    }


def agreement(samples: Sequence[Sample], theirs: Theirs) -> dict[str, Any]:
    """The figures of the module's docstring, over samples of one point."""
    rows = [(sample, *theirs[sample.id]) for sample in samples]
    return {
        "problems": len(rows),
        "same_text": share(sample.answer.strip() == text.strip() for sample, text, *_ in rows),
        "same_verdict": share(sample.is_right is right for sample, _, _, right, _ in rows),
        "ours": share(bool(sample.is_right) for sample in samples),
        "flexible": share(right for _, _, _, right, _ in rows),
        "strict": share(right for *_, right in rows),
        "differ": [
            {
                "id": sample.id,
                "gold": sample.gold,
                "same_text": sample.answer.strip() == text.strip(),
                "answer": text[-300:],
                "ours": [sample.extracted, sample.is_right],
                "flexible": [taken, right],
            }
            for sample, text, taken, right, _ in rows
            if sample.is_right is not right
        ],
    }


def share(values: Any) -> float:
    """The share that is true."""
    flags: list[bool] = list(values)
    return sum(flags) / len(flags)


def served(run: TrainedRun, url: str, problems: int, budget: Budget) -> Theirs:
    """Ask the server of `run` at `url` by the harness."""
    with tempfile.TemporaryDirectory(prefix="mull-benchmark-") as name:
        data = eval_config(run, problems, budget, Path(name)).data
        return ask_server(url, run.path.resolve().name, task_of(load_problems(data), run, budget, Path(name)))


def evaluated(run: TrainedRun, problems: int, budget: Budget) -> list[Sample]:
    """Our own evaluation's samples."""
    with tempfile.TemporaryDirectory(prefix="mull-benchmark-") as name:
        evaluate(eval_config(run, problems, budget, Path(name) / "run"))
        return read_samples(Path(name) / "run" / "samples.jsonl")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    """Until the server answers. Raises `RunError` where it ends or takes too long."""
    import requests

    deadline = time.monotonic() + START
    while True:
        try:
            requests.get(f"{url}/models", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RunError("the server did not start; what it said is above") from None
            time.sleep(1)


def main() -> None:
    """Serve → ask → stop serving → evaluate → compare → print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder of sft.train or rl.grpo")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--max-thinking", type=int, default=256)
    parser.add_argument("--max-answer", type=int, default=128)
    args = parser.parse_args()
    run = open_run(args.run)
    budget = Budget(max_thinking=args.max_thinking, max_answer=args.max_answer)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    words = [sys.executable, "-m", "serving.serve", args.run, "--port", str(port)]
    with subprocess.Popen(words, env=dict(os.environ), cwd=sys.path[0]) as server:
        try:
            wait_for(server, url)
            theirs = served(run, url, args.problems, budget)
        finally:
            server.terminate()
    figures = agreement(evaluated(run, args.problems, budget), theirs)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
