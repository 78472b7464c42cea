"""The terminal chat."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from budget_forcing.budget import Budget
from budget_forcing.budget_state import BudgetState
from budget_forcing.tokens import TokenBudget
from budget_forcing.transformers_sampler import BatchRow
from configs.errors import ConfigError
from configs.schema.sections import SamplingConfig
from data.think_format import NONE
from evaluation.calibrate import calibrate
from serving.chat import chat_arguments, typed_turn
from serving.conversation import Conversation, budget_named, start, think_format_of_model
from serving.writer import DIM, MARK, PLAIN, Writer
from tests.evaluation.swept_run import swept_run
from tests.release.gguf.test_vocabulary import llama_tokenizer
from tests.tiny import tiny_model, tiny_tokenizer
from training.finished_run import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def conversation(folder: Path, *options: str) -> Conversation:
    common = ["--model", str(folder), "--precision", "fp32", "--seed", "1", "--max-answer", "8", "--context", "400"]
    is_named = "--think-format" in options or (folder / "config.yaml").is_file()
    return start(chat_arguments([*common, *(() if is_named else ("--think-format", "s1")), *options]))


@pytest.mark.engine
def test_terminal_styles_thinking_and_forced_text(folder: Path) -> None:
    talk = conversation(folder, "--budget", "12")
    out = io.StringIO()
    made = talk.say("hi", Writer(out, talk.engine.tokenizer, ansi=True))
    assert made.stop == "limit"
    shown = out.getvalue()
    assert shown.startswith(DIM)
    assert f"{MARK}<|im_start|>answer\n{PLAIN}" in shown
    assert shown.endswith(f"{PLAIN}\n")
    for code in (DIM, MARK, PLAIN):
        shown = shown.replace(code, "")
    assert shown.replace("�", "") == made.text.removesuffix("<|im_end|>").replace("�", "") + "\n"


@pytest.mark.engine
def test_forced_wait_is_marked(folder: Path) -> None:
    talk = conversation(folder, "--budget", "300", "--waits", "1", "--temperature", "0")
    for text in ("a", "b", "c", "d"):
        out = io.StringIO()
        made = talk.say(text, Writer(out, talk.engine.tokenizer, ansi=False))
        talk.command("/reset")
        if made.stop != "limit":
            assert made.stop == "waited:1"
            assert "⟦Wait⟧" in out.getvalue()
            return
    pytest.skip("this random model never ends its thinking")


@pytest.mark.engine
def test_history_drops_earlier_thinking(folder: Path) -> None:
    talk = conversation(folder, "--budget", "5")
    first = talk.say("one", Writer(io.StringIO(), talk.engine.tokenizer, ansi=False))
    second = talk.say("two", Writer(io.StringIO(), talk.engine.tokenizer, ansi=False))
    prompt = talk.engine.tokenizer.decode(second.prompt_ids)
    assert first.answer.strip() in prompt
    assert prompt.count("<|im_start|>think") == 1
    assert talk.command("/reset") == "a new conversation"
    assert talk.turns == []


@pytest.mark.engine
def test_system_message_begins_every_prompt(folder: Path) -> None:
    talk = conversation(folder, "--budget", "5", "--system", "Be brief.")
    for text in ("one", "two"):
        made = talk.say(text, Writer(io.StringIO(), talk.engine.tokenizer, ansi=False))
        assert talk.engine.tokenizer.decode(made.prompt_ids).startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert talk.command("/system Be long.") == "a new conversation, under it"
    made = talk.say("three", Writer(io.StringIO(), talk.engine.tokenizer, ansi=False))
    prompt = talk.engine.tokenizer.decode(made.prompt_ids)
    assert "Be long." in prompt
    assert "one" not in prompt
    assert talk.command("/system") == "a new conversation, without a system message"


def test_turn_may_have_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["first\\", "  second\\", "third", "next", "cut\\"])

    def typed(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    assert typed_turn("› ") == "first\n  second\nthird"
    assert typed_turn("› ") == "next"
    with pytest.raises(EOFError):
        typed_turn("› ")


@pytest.mark.engine
def test_commands_change_the_budget(folder: Path) -> None:
    talk = conversation(folder)
    assert talk.budget.max_thinking is None
    talk.command("/budget 7")
    assert talk.budget.max_thinking == 7
    talk.command("/budget medium")
    assert talk.budget.max_thinking == (400 - 8) // 2
    talk.command("/waits 3")
    assert talk.budget.num_waits == 3
    assert "what the context leaves" in talk.command("/budget auto")
    for wrong in ("/budget huge", "/waits many", "/what"):
        with pytest.raises(ConfigError):
            talk.command(wrong)


@pytest.mark.parametrize(("name", "limit"), [("low", 100), ("high", 400), ("auto", None), ("0", 0)])
def test_budget_is_a_name_or_number(name: str, limit: int | None) -> None:
    assert budget_named(name, Budget(max_answer=500), 1000).max_thinking == limit


@pytest.mark.parametrize("kind", [tiny_tokenizer, llama_tokenizer])
def test_streamed_text_equals_whole_text(kind: Callable[[], Any]) -> None:
    tokenizer = kind()
    ids = tokenizer.encode("Wait, is “2 + 2” naïve ☃?\n\n  No: it is 4.<|im_start|>so on", add_special_tokens=False)
    budget = TokenBudget(ends=(1,), end=(1,), eos=(1,), limit=1000)
    row = BatchRow(SamplingConfig(), 0, frozenset(), BudgetState(budget))
    out = io.StringIO()
    writer = Writer(out, tokenizer, ansi=False)
    pieces = []
    for token in ids:
        row.record(token, -1.0)
        writer.token(row)
        pieces.append(out.getvalue())
    writer.finish()
    assert out.getvalue() == tokenizer.decode(ids) + "\n"
    assert len(set(pieces)) > 15  # as they come, not at the end


@pytest.mark.engine
@pytest.mark.parametrize(("option", "value"), [("--temperature", "-1"), ("--top-p", "0"), ("--context", "0")])
def test_out_of_bounds_option_is_named(folder: Path, option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{option}: .*, found {value}[.0]*$"):
        conversation(folder, option, value)


@pytest.mark.engine
@pytest.mark.parametrize("options", [["--think-format", "xml"], ["--think-format", "other"], ["--budget", "huge"]])
def test_bad_option_is_refused(folder: Path, options: list[str]) -> None:
    with pytest.raises(ConfigError):
        conversation(folder, *options)


@pytest.mark.engine
def test_run_sets_adapter_and_think_format(tmp_path: Path) -> None:
    from data.think_format import DEEPSEEK, S1
    from tests.tiny_run import tiny_base, tiny_run

    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    assert conversation(run).engine.think_format == open_run(run).think_format
    other = S1 if open_run(run).think_format == DEEPSEEK else DEEPSEEK
    with pytest.raises(ConfigError, match=f"splits the delimiters of {other.name}"):
        conversation(run, "--think-format", other.name)
    with pytest.raises(ConfigError, match=f"--adapter: the run {run} has its own"):
        conversation(run, "--adapter", str(run / "adapter"))


@pytest.mark.engine
def test_model_without_thinking_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(folder), "--precision", "fp32", "--seed", "1", "--max-answer", "8", "--context", "400"]
    talk = start(chat_arguments(options))
    assert talk.engine.think_format == NONE
    assert "think format: none, its chat template opens no thinking" in capsys.readouterr().err
    out = io.StringIO()
    made = talk.say("hi", Writer(out, talk.engine.tokenizer, ansi=True))
    assert DIM not in out.getvalue()
    assert made.thinking == ""
    with pytest.raises(ConfigError, match="/budget: think format none: there is no thinking to limit"):
        talk.command("/budget 5")
    with pytest.raises(ConfigError, match="--waits: think format none: there is no thinking to limit"):
        start(chat_arguments([*options, "--waits", "1"]))


@pytest.mark.parametrize(
    ("opening", "name"), [("<think>", "deepseek"), ("<|im_start|>think", "s1"), ("<reasoning>", "none"), ("", "none")]
)
def test_chat_template_tells_think_format(opening: str, name: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["</think>"]})
    tokenizer.chat_template += opening
    assert think_format_of_model("some/model", tokenizer).name == name
    assert think_format_of_model("smollm2-135m", tokenizer).name == "s1"


def s1_chat(folder: Path) -> list[Any]:
    """The command on `folder`, with a seed."""
    return [sys.executable, "-m", "serving.chat", "--model", folder, "--think-format", "s1", "--seed", "1"]


@pytest.mark.recipe
def test_command_answers_piped_lines(folder: Path) -> None:
    said = subprocess.run(
        [*s1_chat(folder), "--budget", "6", "--max-answer", "4"],
        input="hi\n/what\n/quit\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said.returncode == 0
    assert "⟦<|im_start|>answer\n⟧" in said.stdout
    assert "6 thinking tokens, ended: limit" in said.stderr
    assert "error: /what" in said.stderr


@pytest.mark.recipe
def test_terminal_chat_survives_ctrl_c(folder: Path) -> None:
    command = [*s1_chat(folder), "--context", "30000"]
    ours, its = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    options: dict[str, Any] = {
        "stdin": its,
        "stdout": its,
        "stderr": its,
        "env": environment,
        "start_new_session": True,
    }
    # a runner in the background ignores SIGINT, and its children would inherit that
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, **options) as chat:
        try:
            read_until(ours, "/quit leaves")
            os.write(ours, b"/waits 10000\nhello\n")  # thinks on until it is stopped
            read_until(ours, DIM)
            read_until(ours, f"{MARK}Wait{DIM}")
            os.kill(chat.pid, signal.SIGINT)
            assert PLAIN in read_until(ours, "stopped:")
            os.write(ours, b"/waits 0\n/budget 3\nhello\n")
            assert f"{MARK}<|im_start|>answer" in read_until(ours, "3 thinking tokens, ended: limit")
            os.write(ours, b"\x04")  # Ctrl-D
            assert chat.wait(60) == 0
        finally:
            chat.kill()
            os.close(ours)
            os.close(its)


def read_until(terminal: int, words: str) -> str:
    """What the terminal shows up to `words`."""
    shown = b""
    while words.encode() not in shown:
        assert select.select([terminal], [], [], 120)[0], shown.decode(errors="replace")
        shown += os.read(terminal, 1000)
    return shown.decode(errors="replace")


def chat_options(folder: Path, file: Path, *options: str) -> Conversation:
    common = ["--model", str(folder), "--precision", "fp32", "--context", "400", "--think-format", "s1"]
    return start(chat_arguments([*common, "--budget", str(file), *options]))


@pytest.mark.engine
def test_promised_budget_brings_its_sampling(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = swept_run(tmp_path / "run", {None: "1" * 400, 32: "1" * 400}, model={"name": str(folder)})
    file = Path(calibrate(run)["file"])
    talk = chat_options(folder, file)
    assert talk.budget == Budget(max_thinking=32, max_answer=16)
    assert talk.sampling.temperature == 0
    assert "budget: loses at most 1 point of accuracy" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"its promise is about temperature 0, and this is 0\.5"):
        chat_options(folder, file, "--temperature", "0.5")
    with pytest.raises(ConfigError, match="leave out --waits and the like"):
        chat_options(folder, file, "--waits", "1")
    with pytest.raises(ConfigError, match=r"its promise is about the model .*, and this is smollm2-135m"):
        chat_options(Path("smollm2-135m"), file)


@pytest.mark.engine
def test_budget_file_without_promise_leaves_sampling(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "plain.yaml"
    file.write_text("budget: {effort: medium, num_waits: 1, max_answer: 100}\n")
    talk = chat_options(folder, file, "--temperature", "0.5")
    assert talk.budget == Budget(max_thinking=150, num_waits=1, max_answer=100)
    assert (talk.sampling.temperature, talk.sampling.top_p) == (0.5, 0.95)
