"""Two vLLM servers on loopback against one: tokens a second per core, the same texts, and one killed in the middle.

    python -m benchmarks.servers [--model smollm2-135m] [--prompts 32] [--tokens 64] [--repeats 3] [--json FILE]

Each server has a core of its own, and both decode the same requests under budgets, in fp32.

server_ratio  tokens per second of the servers' CPU time, of two over one: what a core gives, whatever else runs here
wall_ratio    tokens a second of two servers over twice those of one; on a machine with nothing else to do
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()  # before torch: waiting threads sleep

import httpx
import psutil
import yaml

from budget_forcing.budget import Budget
from configs.schema.sections import EngineConfig, ModelConfig
from data.think_format import S1
from models.engines.base import Request
from models.engines.generation import Generation
from models.engines.select import load_engine
from tests.vllm_env import ENVIRONMENT, ROOT, free_port


@contextmanager
def server(recipe: Path, core: int) -> Iterator[tuple[str, psutil.Process]]:
    """A `mull serve` on one core: its URL and its process."""
    port = free_port()
    words = [sys.executable, "-m", "serving.serve", str(recipe), "--port", str(port), "--", "--max-num-seqs", "32"]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    with (recipe.with_suffix(f".{core}.log")).open("w") as log:
        started = subprocess.Popen(
            ["taskset", "-c", str(core), *words, "--enforce-eager"], stdout=log, stderr=log, env=environment, cwd=ROOT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_up(url):
            assert started.poll() is None, Path(log.name).read_text()[-2000:]
            time.sleep(1)
        yield url, psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


def is_up(url: str) -> bool:
    """Whether it answers."""
    try:
        return httpx.get(f"{url}/health", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def requests(prompts: int, tokens: int) -> list[Request]:
    """Questions under budgets that use all their thinking."""
    budget = Budget(max_thinking=tokens, min_thinking=tokens, wait_text="", max_answer=8)
    questions = [f"Anna has {n} apples and buys {n + 3} more. How many has she?" for n in range(prompts)]
    return [Request([{"role": "user", "content": text}], seed=at, budget=budget) for at, text in enumerate(questions)]


def rate(
    engine: Any, asked: Sequence[Request], repeats: int, processes: Sequence[psutil.Process]
) -> tuple[float, float, list[Generation]]:
    """(tokens a second, tokens a second of the servers' CPU time, what was generated): medians after a warm-up."""
    rates, cpu_rates, generations = [], [], engine.generate(asked)
    for _ in range(repeats):
        begin, cpu = time.perf_counter(), cpu_seconds(processes)
        generations = engine.generate(asked)
        tokens = sum(len(g.token_ids) for g in generations)
        rates.append(tokens / (time.perf_counter() - begin))
        cpu_rates.append(tokens / (cpu_seconds(processes) - cpu))
    return statistics.median(rates), statistics.median(cpu_rates), generations


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Of these and of all that they have started."""
    family = [member for process in processes for member in (process, *process.children(recursive=True))]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


def killed(engine: Any, asked: Sequence[Request], process: psutil.Process) -> Callable[[], list[Generation]]:
    """A round in the middle of which the server dies."""
    seen: list[Generation] = []

    def take(generation: Generation) -> None:
        seen.append(generation)
        if len(seen) == len(asked) // 4:
            for child in (*process.children(recursive=True), process):
                os.kill(child.pid, signal.SIGKILL)

    return lambda: engine.generate(asked, take)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    model = ModelConfig(name=args.model, precision="fp32", max_length=512)
    asked = requests(args.prompts, args.tokens)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text(yaml.safe_dump({"model": model.model_dump()}))
        with server(recipe, 0) as (first, other), server(recipe, 1) as (second, process):
            one = load_engine(EngineConfig(name="server", urls=[first]), model, S1)
            two = load_engine(EngineConfig(name="server", urls=[first, second]), model, S1)
            one_rate, one_cpu, alone = rate(one, asked, args.repeats, [other])
            two_rate, two_cpu, shared = rate(two, asked, args.repeats, [other, process])
            after = killed(two, asked, process)()
    texts = [g.token_ids for g in alone]
    return {
        "tokens_per_second_one": round(one_rate, 1),
        "tokens_per_second_two": round(two_rate, 1),
        "server_ratio": round(two_cpu / one_cpu, 3),
        "wall_ratio": round(two_rate / (2 * one_rate), 3),
        "texts_equal": texts == [g.token_ids for g in shared],
        "lost_after_kill": len(asked) - len(after),
        "texts_equal_after_kill": texts == [g.token_ids for g in after],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64, help="thinking tokens of each")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    figures = measure(args)
    print(json.dumps(figures, indent=1))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
