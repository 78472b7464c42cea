"""`serving.serve`: the command it builds, what it refuses, and a real `vllm serve` on a tiny run."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError, ModelError
from configs.schema.sections import BudgetConfig
from data.prompts import render_prompt
from data.think_format import THINK_FORMATS, ThinkFormat
from evaluation.plan import adapter_hash
from serving.serve import budget_notice, command, environment, lora_rank, serve_arguments, served_budget_file
from tests.tiny import tiny_tokenizer
from tests.tiny_run import tell, tiny_base, tiny_run, whole_run
from tests.vllm_env import free_port, serving
from training.finished_run import open_run

THINKING = [think for think in THINK_FORMATS.values() if think.has_thinking]
NONE = THINK_FORMATS["none"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    return tiny_run(folder / "tiny-run", tiny_base(folder / "base"))


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_command_has_adapter_and_plugins(run: Path, tmp_path: Path) -> None:
    words = command(
        open_run(run), serve_arguments([str(run), "--port", "81", "--", "--max-num-seqs", "4"]), tmp_path / "t.jinja"
    )
    assert str(run.parent / "base") in words
    assert json.loads(option(words, "--lora-modules")) == {"name": "tiny-run", "path": str(run / "adapter")}
    assert option(words, "--max-lora-rank") == "8"
    assert option(words, "--chat-template") == str(tmp_path / "t.jinja")
    assert option(words, "--reasoning-parser") == "mull"
    assert Path(option(words, "--reasoning-parser-plugin")).is_file()
    assert option(words, "--logits-processors") == "budget_forcing.vllm_processor:BudgetProcessor"
    assert option(words, "--max-model-len") == "256"
    assert words[-2:] == ["--max-num-seqs", "4"]


def budget_file(folder: Path, run: Path, **changes: Any) -> Path:
    """A budget of 4 thinking tokens with a promise about the run."""
    name, adapter = open_run(run).weights
    promise = {
        "loss": 1.0, "confidence": 0.95, "longest": {}, "assumption": "the questions are alike", "questions": 500,
        "samples": 1, "loss_seen": 0.0, "p": 0.01, "thinking_tokens": 3.5, "thinking_tokens_longest": 50.0,
        "benchmark": {"source": "arithmetic", "problems": 500, "hash": "0"},
        "model": {"name": name, "adapter": adapter_hash(adapter)}, "think_format": "s1", "instruction": "",
        "sampling": {"temperature": 0.0},
    }  # fmt: skip
    file = folder / "budget.yaml"
    file.write_text(yaml.safe_dump({"budget": {"max_thinking": 4, "max_answer": 16}, "promise": promise | changes}))
    return file


def under(run: Path, file: Path, *further: str) -> Namespace:
    return serve_arguments([str(run), "--budget", str(file), *further])


def test_promised_budget_is_the_servers_own(run: Path, tmp_path: Path) -> None:
    opened, file = open_run(run), budget_file(tmp_path, run)
    content = served_budget_file(opened, under(run, file), tiny_tokenizer())
    assert content is not None
    words = command(opened, under(run, file), tmp_path / "t.jinja", content)
    assert json.loads(option(words, "--override-generation-config"))["temperature"] == 0.0
    served = BudgetConfig.model_validate_json(environment(opened, under(run, file), {}, content)["MULL_BUDGET"])
    assert (served.max_thinking, served.max_answer) == (4, 16)
    assert "MULL_BUDGET" not in environment(opened, under(run, file), {})
    notice = budget_notice(content)
    assert "max_answer 16, max_thinking 4" in notice
    assert "loses at most 1 point of accuracy against the longest budget (no limit)" in notice
    assert "assumed: the questions are alike" in notice


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"name": "another"}}, "about the model another, and this is "),
        ({"think_format": "deepseek"}, "about think format deepseek, and this is s1"),
        ({"sampling": {"repetition_penalty": 1.2}}, "has a repetition_penalty, under which vLLM keeps no budget"),
    ],
)
def test_promise_that_can_not_be_served(run: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        served_budget_file(open_run(run), under(run, budget_file(tmp_path, run, **changes)), tiny_tokenizer())


def test_budget_needs_thinking_and_whole_delimiters(run: Path, tmp_path: Path) -> None:
    file, opened = budget_file(tmp_path, run), open_run(run)
    with pytest.raises(ConfigError, match="think format none has no thinking to limit"):
        served_budget_file(replace(opened, think_format=NONE), under(run, file), tiny_tokenizer())
    with pytest.raises(ConfigError, match="this tokenizer splits '</think>' into several tokens"):
        served_budget_file(replace(opened, think_format=THINK_FORMATS["deepseek"]), under(run, file), tiny_tokenizer())
    file.write_text("budget: {max_thinking: 300}\n")
    with pytest.raises(ConfigError, match="in 812 tokens, and the run's context is 256; raise it with -- --max-model"):
        served_budget_file(opened, under(run, file), tiny_tokenizer())
    assert served_budget_file(opened, under(run, file, "--", "--max-model-len=999"), tiny_tokenizer())
    assert served_budget_file(opened, serve_arguments([str(run)]), tiny_tokenizer()) is None


@pytest.mark.engine
def test_parser_gives_the_servers_budget_to_who_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(THINK_FORMATS["s1"])))
    monkeypatch.setenv("MULL_BUDGET", BudgetConfig(max_thinking=8, max_answer=16).model_dump_json())
    from serving.reasoning_parser import ThinkFormatParser

    def limit(template: dict[str, Any] | None = None, **fields: Any) -> int | None:
        request = ChatCompletionRequest(messages=[{"role": "user", "content": "2 + 3?"}], **fields)
        parser = ThinkFormatParser(tiny_tokenizer(), chat_template_kwargs=template)
        return (parser.adjust_request(request).vllm_xargs or {}).get("budget_limit")

    assert limit() == 8
    assert limit(vllm_xargs={"budget_limit": 3}) == 3
    assert limit(thinking_token_budget=5) == 5
    assert limit({"enable_thinking": False}) == 0
    assert limit({"reasoning_effort": "max"}) is None


def test_server_needs_no_nvcc(run: Path) -> None:
    """FlashInfer's sampler would be compiled as the server starts; who asks for it gets it."""
    sampler = "VLLM_USE_FLASHINFER_SAMPLER"
    args = serve_arguments([str(run)])
    given = environment(open_run(run), args, {"HOME": "/h", "PYTHONPATH": "/mine"})
    assert (given[sampler], given["HOME"]) == ("0", "/h")
    assert given["PYTHONPATH"].split(os.pathsep)[1:] == ["/mine"]
    assert environment(open_run(run), args, {sampler: "1"})[sampler] == "1"


@pytest.mark.engine
@pytest.mark.parametrize(
    ("further", "mode"),
    [
        ([], "processed_logprobs"),
        (["--logprobs-mode", "raw_logits"], "raw_logits"),
        (["--logprobs_mode=raw_logits"], "raw_logits"),
    ],
)
def test_users_logprobs_mode_wins(run: Path, tmp_path: Path, further: list[str], mode: str) -> None:
    """By vLLM's own parser, in which the last of two counts."""
    pytest.importorskip("vllm")
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    words = command(open_run(run), serve_arguments([str(run), "--", *further]), tmp_path / "t.jinja")
    parser = make_arg_parser(FlexibleArgumentParser())
    assert parser.parse_args(words[words.index("--host") :]).logprobs_mode == mode


def test_run_without_lora_is_served(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    words = command(open_run(run), serve_arguments([str(run)]), tmp_path / "t.jinja")
    assert str(run / "model") in words
    assert "--enable-lora" not in words


def test_adapter_that_vllm_does_not_know_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    file = run / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_dora": True}))
    with pytest.raises(ModelError, match="the adapter is dora; serve its merged16 export"):
        command(open_run(run), serve_arguments([str(run)]), tmp_path / "t.jinja")


def test_base_keeps_training_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    args = serve_arguments([str(run)])
    tell(run, precision="int8")
    with pytest.raises(ModelError, match="serve the merged16 export"):
        command(open_run(run), args, tmp_path / "t.jinja")
    tell(run, precision="nf4")
    (tmp_path / "vllm_bnb_plugin.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert option(command(open_run(run), args, tmp_path / "t.jinja"), "--quantization") == "bitsandbytes"


@pytest.mark.parametrize(
    ("rank", "further", "found"),
    [(1, [], 1), (16, [], 16), (17, [], 32), (512, [], 512), (8, ["--max-lora-rank", "64"], 64)],
)
def test_server_has_room_for_adapter(tmp_path: Path, rank: int, further: list[str], found: int) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    assert lora_rank(tmp_path, further) == found


@pytest.mark.parametrize(
    ("rank", "further", "words"),
    [
        (513, [], "rank 513 is above the 512 that vLLM has room for; serve its merged16 export"),
        (32, ["--max-lora-rank", "16"], "--max-lora-rank: 16, and .* has rank 32; raise it, or leave it out"),
        (32, ["--max-lora-rank=16"], "has rank 32"),
        (32, ["--max-lora-rank"], "has rank 32"),
    ],
)
def test_rank_without_room_is_refused(tmp_path: Path, rank: int, further: list[str], words: str) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    with pytest.raises(ModelError, match=words):
        lora_rank(tmp_path, further)


@pytest.mark.engine
@pytest.mark.parametrize("think", THINKING, ids=lambda think: think.name)
def test_parser_streams_the_whole_answer(think: ThinkFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token by token through vLLM's own parser, after a prompt that may spell out the delimiters."""
    pytest.importorskip("vllm")
    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(think)))
    text = think.render("2 + 3 is 5", "It is 5.").removeprefix(think.prefill)
    streamed, whole = parsed(render_prompt(tiny_tokenizer(), "2 + 3?", think), text)
    assert streamed == whole
    assert [part.strip() for part in streamed] == ["2 + 3 is 5", "It is 5."]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("think", "text", "parts"),
    [
        ("xml", "<reasoning>a</reasoning><answer>5</answer> no: <answer>6</answer>", ["a", "6"]),
        ("xml", "<reasoning>a</reasoning><answer>5", ["a", "5"]),
        ("xml", "<reasoning>a</reasoning> 5 <", ["a", ""]),
        ("deepseek", "a</think>5 <", ["a", "5 <"]),
        ("deepseek", "a </thin", ["a </thin", ""]),
    ],
)
def test_served_parts_equal_graded_parts(
    think: str, text: str, parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vllm")
    think_format = THINK_FORMATS[think]
    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(think_format)))
    graded = think_format.split(think_format.prefill + text)
    assert [graded.thinking, graded.answer] == parts
    streamed, whole = parsed(render_prompt(tiny_tokenizer(), "2 + 3?", think_format), text)
    assert streamed == whole == parts


@pytest.mark.engine
def test_turn_without_thinking_is_all_content(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(NONE)))
    streamed, whole = parsed(render_prompt(tiny_tokenizer(), "2 + 3?", NONE), "It is <b>5</b>.")
    assert streamed == whole == ["", "It is <b>5</b>."]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("<open>\n2 + 3 is", ["5", "It is 5."]),
        ("<open>\n2 + 3 is 5\n<half an end>", ["", "It is 5."]),
        ("<open>\n2 + 3 is 5\n<end>", ["", "It is 5."]),
        ("<open>\n2 + 3 is 5\n<end>It", ["", "is 5."]),
    ],
)
@pytest.mark.parametrize("think", THINKING, ids=lambda think: think.name)
def test_continued_message_is_parsed(
    think: ThinkFormat, written: str, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`continue_final_message`: the prompt's last turn holds a part of the thinking, or of the answer."""
    pytest.importorskip("vllm")
    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(think)))
    text = think.render("2 + 3 is 5", "It is 5.")
    marks = {"<open>": think.open, "<half an end>": think.end.rstrip()[:-3], "<end>": think.end}
    for mark, meant in marks.items():
        written = written.replace(mark, meant)
    assert text.startswith(written)
    before = render_prompt(tiny_tokenizer(), "2 + 3?", think, history=[("1 + 1?", text)]).removesuffix(think.prefill)
    streamed, whole = parsed(before + written, text.removeprefix(written))
    assert streamed == whole
    assert [part.strip() for part in streamed] == left


def parsed(prompt: str, text: str) -> tuple[list[str], list[str]]:
    """[reasoning, content] of `text` through vLLM's own parser, as its server calls it: token by token, and whole."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser import ParserManager

    from serving import reasoning_parser

    tokenizer = tiny_tokenizer()
    made = ParserManager.get_parser(reasoning_parser_name=reasoning_parser.NAME)
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "2 + 3?"}])
    before, ids = (tokenizer.encode(part, add_special_tokens=False) for part in (prompt, text))
    parser, streamed = made(tokenizer), ["", ""]
    for at, token in enumerate(ids):
        last = at == len(ids) - 1
        if delta := parser.parse_delta(tokenizer.decode([token]), [token], request, before, finished=last):
            streamed = [streamed[0] + (delta.reasoning or ""), streamed[1] + (delta.content or "")]
    parser = made(tokenizer)
    parser.is_reasoning_end(before)
    reasoning, content, _ = parser.parse(text, request)
    return streamed, [reasoning or "", content or ""]


@pytest.mark.engine
class TestServer:
    """One server for all of these: it takes a minute to start."""

    @pytest.fixture(scope="class")
    def client(self, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        pytest.importorskip("vllm")
        port = free_port()
        log = tmp_path_factory.mktemp("log") / "log"
        words = [sys.executable, "-m", "serving.serve", str(run), "--port", str(port)]
        words += ["--", "--enforce-eager", "--max-num-seqs", "4"]
        with serving(words, port, log) as client:
            client.log = log
            yield client

    def test_adapter_answers_in_think_format(self, client: Any, run: Path) -> None:
        """The printed example: a budget ends the thinking, which arrives apart from the answer; and as trained."""
        body = printed_request(client)
        answered = client.chat.completions.create(
            model=body["model"],
            messages=body["messages"],
            temperature=0,
            extra_body={"vllm_xargs": body["vllm_xargs"]},
        )
        message = answered.choices[0].message
        thinking, answer = trained_answer(run, body)
        assert (shown(message.reasoning), shown(message.content)) == (shown(thinking), shown(answer))
        assert "<|im_start|>" not in (message.content or "")

    def test_logprobs_are_of_what_was_drawn_from(self, client: Any) -> None:
        """Of one token that top-k leaves: log 1."""
        answered = ask(client, temperature=1.0, top_k=1, max_tokens=8, logprobs=True)
        assert [token.logprob for token in answered.choices[0].logprobs.content] == [0.0] * 8

    def test_streamed_response_equals_whole(self, client: Any) -> None:
        body = printed_request(client)
        request = {
            "model": body["model"],
            "messages": body["messages"],
            "temperature": 0,
            "extra_body": {"vllm_xargs": body["vllm_xargs"]},
        }
        whole = client.chat.completions.create(**request).choices[0].message
        deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**request, stream=True)]
        parts = ["".join(getattr(delta, name, None) or "" for delta in deltas) for name in ("reasoning", "content")]
        assert [shown(part) for part in parts] == [shown(whole.reasoning), shown(whole.content)]

    def test_thinking_is_counted(self, client: Any) -> None:
        """Whole and streamed, as the engine counts it: the budget's limit, which this model always reaches."""
        body = printed_request(client)
        usages = []
        for stream in (False, True):
            options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            answered = ask(client, vllm_xargs=body["vllm_xargs"], **options)
            usages.append((list(answered)[-1] if stream else answered).usage)
        assert [usage.completion_tokens_details.reasoning_tokens for usage in usages] == [
            body["vllm_xargs"]["budget_limit"]
        ] * 2

    @pytest.mark.parametrize(
        ("said", "most"),
        [
            ({"chat_template_kwargs": {"enable_thinking": False}}, 0),
            ({"chat_template_kwargs": {"thinking": False}}, 0),
            ({"reasoning_effort": "none"}, 0),
            ({"reasoning_effort": "low"}, 6),  # a fifth of 40 without the 8 that end the thinking
            ({"reasoning_effort": "high"}, 25),
            ({"thinking_token_budget": 12}, 12),
            ({"thinking_token_budget": 0}, 0),
        ],
    )
    def test_thinking_switches_are_budgets(self, client: Any, said: dict[str, Any], most: int) -> None:
        answered = ask(client, max_tokens=40, **said)
        assert answered.usage.completion_tokens_details.reasoning_tokens == most
        assert shown(answered.choices[0].message.content)

    def test_responses_have_switches_too(self, client: Any) -> None:
        body = {"model": "tiny-run", "input": "What is 17 + 25?", "temperature": 0, "max_output_tokens": 40}
        answered = client.responses.create(**body, reasoning={"effort": "low"})
        assert answered.usage.output_tokens_details.reasoning_tokens == 6

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ({"reasoning_effort": "low", "vllm_xargs": {"budget_limit": 9}}, "reasoning_effort: vllm_xargs holds a"),
            (
                {"thinking_token_budget": 9, "chat_template_kwargs": {"enable_thinking": False}},
                "thinking_token_budget: 9, beside enable_thinking: false",
            ),
            ({"thinking_token_budget": 40}, "more than max_tokens 40"),
        ],
    )
    def test_contradiction_is_refused(self, client: Any, said: dict[str, Any], reason: str) -> None:
        import openai

        with pytest.raises(openai.BadRequestError, match=reason):
            ask(client, max_tokens=40, **said)

    @pytest.mark.parametrize("stream", [False, True])
    def test_stop_string_ends_answer_alone(self, client: Any, stream: bool) -> None:
        """One that the thinking holds too: it ends nothing there, and the answer before it comes there."""
        limits = {"max_tokens": 200, "thinking_token_budget": 60}
        message = ask(client, **limits).choices[0].message
        thinking, answer = message.reasoning, message.content
        in_both = next(char for char in answer[3:] if char in thinking and char.isascii())
        for stop in (in_both, thinking[5:8]):
            expected = answer[: answer.index(stop)] if stop in answer else answer
            answered = ask(client, stop=[stop], stream=stream, **limits)
            deltas = [chunk.choices[0].delta for chunk in answered] if stream else [answered.choices[0].message]
            parts = ["".join(getattr(delta, name, None) or "" for delta in deltas) for name in ("reasoning", "content")]
            assert [shown(part) for part in parts] == [shown(thinking), shown(expected)]

    def test_raw_completion_keeps_its_stops(self, client: Any) -> None:
        """Without a chat there is no thinking to keep stop strings out of."""
        request = {"model": "tiny-run", "prompt": [1, 40, 41], "temperature": 0, "max_tokens": 20}
        whole = client.completions.create(**request).choices[0].text
        stopped = client.completions.create(**request, stop=[whole[4]]).choices[0]
        assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(whole[4])], "stop")

    def test_adapter_and_base_are_two_models(self, client: Any) -> None:
        assert {model.id for model in client.models.list()} == {"base", "tiny-run"}
        texts = {
            model: client.completions.create(model=model, prompt=[1, 40, 41], temperature=0, max_tokens=20)
            .choices[0]
            .text
            for model in ("base", "tiny-run")
        }
        assert texts["base"] != texts["tiny-run"]


@pytest.mark.engine
def test_server_thinks_under_its_own_budget(run: Path, tmp_path: Path) -> None:
    """A chat without a budget or a temperature has the promise's; one with a budget of its own keeps that."""
    pytest.importorskip("vllm")
    port = free_port()
    words = [sys.executable, "-m", "serving.serve", str(run), "--port", str(port)]
    words += ["--budget", str(budget_file(tmp_path, run)), "--", "--enforce-eager", "--max-num-seqs", "4"]
    with serving(words, port, tmp_path / "log") as client:
        messages = [{"role": "user", "content": "What is 17 + 25?"}]
        made = [client.chat.completions.create(model="tiny-run", messages=messages) for _ in range(2)]
        own = ask(client, thinking_token_budget=2)
    assert made[0].choices[0].message.content == made[1].choices[0].message.content  # greedy
    assert [one.usage.completion_tokens_details.reasoning_tokens for one in (*made, own)] == [4, 4, 2]
    assert "loses at most 1 point of accuracy" in (tmp_path / "log").read_text()


def ask(client: Any, **said: Any) -> Any:
    """A greedy chat completion of the run; `said` goes into the body as it is."""
    options: dict[str, Any] = {name: said.pop(name) for name in ("stream", "stream_options") if name in said}
    messages = [{"role": "user", "content": "What is 17 + 25?"}]
    body: dict[str, Any] = {"model": "tiny-run", "messages": messages, "temperature": 0, **options}
    return client.chat.completions.create(**body, extra_body=said)


def shown(text: str | None) -> str:
    """Without the half characters at its end, which vLLM holds back."""
    return (text or "").rstrip("\N{REPLACEMENT CHARACTER}").strip()


def printed_request(client: Any) -> dict[str, Any]:
    """The body of the `curl` that the command prints."""
    line = next(line for line in client.log.read_text().splitlines() if line.startswith("curl "))
    return dict(json.loads(line.partition(" -d '")[2].removesuffix("'")))


def trained_answer(run: Path, body: dict[str, Any]) -> tuple[str, str]:
    """(thinking, answer) of the run's own model in Transformers under the request's budget."""
    from budget_forcing.budget import Budget
    from configs.schema.sections import ModelConfig, SamplingConfig
    from data.think_format import S1
    from models.engines.base import Request
    from models.engines.transformers import TransformersEngine
    from models.load import load_model

    xargs = body["vllm_xargs"]
    budget = Budget(
        max_thinking=xargs["budget_limit"], num_waits=xargs["budget_num_waits"], max_answer=xargs["budget_max_answer"]
    )
    config = ModelConfig(name=str(run.parent / "base"), adapter=str(run / "adapter"), precision="fp32", max_length=256)
    loaded = load_model(config)
    engine = TransformersEngine(loaded.model, loaded.tokenizer, S1, 256)
    made = engine.generate([Request(body["messages"], SamplingConfig(temperature=0.0), budget=budget)])[0]
    return made.thinking, made.answer


def test_chat_takes_a_run_folder(run: Path) -> None:
    from serving.chat import chat_arguments as parse_chat
    from serving.conversation import start

    talk = start(parse_chat(["--model", str(run), "--precision", "fp32", "--context", "256", "--max-answer", "9"]))
    assert talk.engine.think_format == open_run(run).think_format
    assert talk.engine.model.peft_config["default"].r == 4
