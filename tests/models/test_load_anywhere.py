"""An exported adapter in vLLM; plain PEFT and Transformers are in `test_formats.py`, Unsloth in `tests/unsloth`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from release.formats import write_exports
from tests.tiny_run import tiny_base, tiny_run
from tests.vllm_env import ENVIRONMENT

pytestmark = pytest.mark.engine
TOKENS = 24
VLLM = """
import json, sys
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

base, adapter, prompts, tokens = *sys.argv[1:3], json.loads(sys.argv[3]), int(sys.argv[4])
llm = LLM(base, enable_lora=True, max_lora_rank=8, max_loras=1, dtype="float32", enforce_eager=True, max_model_len=512)
answers = []
for request in (None, LoRARequest("mine", 1, adapter)):
    made = llm.generate(
        [{"prompt_token_ids": ids} for ids in prompts],
        SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, logprobs=0, detokenize=False),
        lora_request=request,
        use_tqdm=False,
    )
    done = [one.outputs[0] for one in made]
    answers.append([[list(o.token_ids), [p[i].logprob for i, p in zip(o.token_ids, o.logprobs)]] for o in done])
print("ANSWERS", json.dumps(answers))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    run = tiny_run(tmp_path_factory.mktemp("run"), base)
    return write_exports(run, ["adapter"], tmp_path_factory.mktemp("exports") / "out") / "adapter"


def test_vllm_adapter_answers_like_peft(base: Path, adapter: Path) -> None:
    """Both load the folder alone; greedy tokens and their log-probabilities, with the adapter and without."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    pytest.importorskip("vllm")
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    asked = ["What is 17 + 25?", "Hi", "Say nothing. " * 9]
    chats = [[{"role": "user", "content": text}] for text in asked]
    prompts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"] for chat in chats]
    done = subprocess.run(
        [sys.executable, "-c", VLLM, str(base), str(adapter), json.dumps(prompts), str(TOKENS)],
        env=os.environ | ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWERS "))
    without, with_it = json.loads(line.removeprefix("ANSWERS "))
    model = AutoPeftModelForCausalLM.from_pretrained(str(adapter)).float().eval()
    assert [check(model, ids, *answer) for ids, answer in zip(prompts, with_it, strict=True)] == [True] * 3
    with model.disable_adapter():
        assert [check(model, ids, *answer) for ids, answer in zip(prompts, without, strict=True)] == [True] * 3
    assert [tokens for tokens, _ in with_it] != [tokens for tokens, _ in without]


def check(model: Any, prompt: list[int], tokens: list[int], logprobs: list[float]) -> bool:
    """Whether `tokens` are the model's own greedy ones, and `logprobs` theirs."""
    import torch

    assert len(tokens) == len(logprobs) == TOKENS
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]  # (TOKENS, V)
    wanted = logits.log_softmax(-1).max(-1)
    return bool(wanted.indices.tolist() == tokens and wanted.values.tolist() == pytest.approx(logprobs, abs=2e-3))
