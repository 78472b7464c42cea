"""A teacher that can't teach is refused before training, with the reason."""

from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError, EngineError, ModelError
from configs.recipe import load_recipe
from configs.schema.grpo import GrpoConfig
from configs.schema.sections import ServerConfig
from data.problem import Problem
from data.think_format import S1
from models.engines.generation import decode
from models.server import prompt_logprobs
from rl import rollout, teacher_check
from rl.teacher import teacher_prompts
from tests.chat_server import chat_server
from tests.tiny import tiny_model, tiny_tokenizer

LONG = "How many are one and one? "
PROBLEMS = [Problem("a", LONG, "2", "test", solution="1 and 1 are 2."), Problem("b", LONG * 2, "4", "test")]
TURN = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\nSo?<|im_end|>"


def retold(change: dict[str, str | None], added: tuple[str, ...] = ()) -> Any:
    """The tiny tokenizer with tokens renamed, or left out (None), and more at its end."""
    import json

    from tokenizers import Tokenizer

    tokenizer = tiny_tokenizer()
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = {change.get(token, token): at for token, at in told["model"]["vocab"].items()}
    told["model"]["vocab"] = {token: at for token, at in vocabulary.items() if token is not None}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(told))
    tokenizer.add_tokens(list(added))
    return tokenizer


def config_of(folder: Path, *overrides: str) -> GrpoConfig:
    config: GrpoConfig = load_recipe("grpo", "demo", [f"model.name={tiny_model(folder / 'student')}", *overrides])
    return config


def test_same_vocabulary_is_taken() -> None:
    teacher_check.check_vocabulary(tiny_tokenizer(), tiny_tokenizer(), "t", TURN)


def test_added_tokens_of_either_side_are_taken() -> None:
    plain, more = tiny_tokenizer(), retold({}, ("<tool>", "</tool>"))
    teacher_check.check_vocabulary(plain, more, "t", TURN)
    teacher_check.check_vocabulary(more, plain, "t", TURN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "b", "b": "a"}, r"other ids, such as 'a', \d+ to the student and \d+ to the teacher; take a teacher of"),
        ({"a": None}, "it lacks 1 of the student's 259 tokens, such as 'a'; take a teacher of the student's family"),
    ],
)
def test_other_vocabulary_is_refused(change: dict[str, str | None], message: str) -> None:
    with pytest.raises(ModelError, match=rf"teacher\.model\.name: t has another vocabulary: .*{message}"):
        teacher_check.check_vocabulary(tiny_tokenizer(), retold(change), "t", TURN)


def test_delimiter_that_only_one_has_is_refused() -> None:
    student, turn = retold({}, ("</think>",)), f"{TURN}</think>"
    with pytest.raises(ModelError, match="t reads the student's own turns as other tokens, from '</think>' on"):
        teacher_check.check_vocabulary(student, tiny_tokenizer(), "t", turn)


def test_ids_in_common_are_the_shorter_vocabulary(tmp_path: Path) -> None:
    config = config_of(tmp_path, f"teacher={{model: {{name: {tiny_model(tmp_path / 'teacher', vocabulary=300)}}}}}")
    found = [
        teacher_check.check_teacher(config, [TURN], tokenizer, S1)
        for tokenizer in (tiny_tokenizer(), retold({}, ("<tool>",)))
    ]
    assert found == [259, 259]


def test_missing_teacher_is_one_line(tmp_path: Path) -> None:
    from rl.grpo import check_recipe

    with pytest.raises(ModelError, match=r"^teacher\.model\.name: nowhere is no folder, no GGUF file and no hub id"):
        check_recipe(config_of(tmp_path, "teacher={model: {name: nowhere}}"))
    with pytest.raises(ModelError, match=r"^teacher\.model\.adapter: .* holds no adapter_config\.json; train one"):
        check_recipe(config_of(tmp_path, f"teacher={{model: {{name: smollm2-135m, adapter: {tmp_path}}}}}"))


@pytest.mark.parametrize(
    ("teacher", "limit"),
    [("{self: true, ", "model"), ("{model: {name: smollm2-135m, max_length: 256}, ", "teacher.model")],
)
def test_solution_has_to_fit_the_context(tmp_path: Path, teacher: str, limit: str) -> None:
    config = config_of(tmp_path, f"teacher={teacher}sees: solution}}")
    plain = rollout.prompts(PROBLEMS, tiny_tokenizer(), S1)
    seen = teacher_prompts(config, PROBLEMS, plain, tiny_tokenizer(), S1)
    teacher_check.check_context(config, PROBLEMS, plain, tiny_tokenizer(), S1)
    with pytest.raises(DataError, match=rf"^teacher: 1 of 2 prompts don't fit: .* is over {limit}\.max_length=256"):
        teacher_check.check_context(config, PROBLEMS, seen, tiny_tokenizer(), S1)


def test_long_thinking_has_to_fit_the_context(tmp_path: Path) -> None:
    budgets = ["rollout.budget={max_thinking: 8, max_answer: 8}", "teacher={self: true, budget: {max_thinking: 300}}"]
    config, prompts = config_of(tmp_path, *budgets), rollout.prompts(PROBLEMS, tiny_tokenizer(), S1)
    with pytest.raises(EngineError, match=r"^teacher: budget: prompt \d+ \+ thinking 300 \+ end \d+ \+ answer 8 "):
        teacher_check.check_context(config, PROBLEMS, prompts, tiny_tokenizer(), S1)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (
            "{self: true, sees: solution}",
            "on the student's base weights; it sees the gold answers, and the solutions of 1 ",
        ),
        (
            "{model: {name: smollm2-135m}, weight: 0.5}",
            "smollm2-135m, with weights of its own; it sees what the student",
        ),
        ("{server: {url: 'http://127.0.0.1:1/v1', model: big}}", "big at http://127.0.0.1:1/v1; it sees"),
    ],
)
def test_line_says_who_teaches_and_what_it_sees(tmp_path: Path, section: str, says: str) -> None:
    assert says in teacher_check.described(config_of(tmp_path, f"teacher={section}"), PROBLEMS)
    alone = config_of(tmp_path, f"teacher={section}", "rewards=[]")
    assert teacher_check.described(alone, PROBLEMS).endswith("; no rewards")


def scored(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A vLLM's answer: every token after the first is as likely as its id says."""
    rows = [None, *({str(token): {"logprob": -token / 100}} for token in body["prompt"][1:])]
    return {"choices": [{"text": "x", "prompt_logprobs": rows} | fields]}


def behaving(answer: Any, text: str | None = None) -> Any:
    """What a server answers to completions and to detokenize."""

    def behave(body: dict[str, Any]) -> tuple[int, Any]:
        if "tokens" in body:
            return 200, {"prompt": decode(tiny_tokenizer(), body["tokens"]) if text is None else text}
        status, said = answer(body) if callable(answer) else answer
        return status, said

    return behave


def asked(*urls: str) -> None:
    server = ServerConfig(**({"urls": list(urls)} if len(urls) > 1 else {"url": urls[0]}), model="big", retries=0)
    teacher_check.check_server(server, tiny_tokenizer(), [TURN, TURN * 2], 5)


def test_server_is_asked_for_the_longest_row() -> None:
    with chat_server(behaving(lambda body: (200, scored(body)))) as server:
        asked(server.url)
    completions, detokenize = server.bodies
    assert (completions["path"], detokenize["path"]) == ("/v1/completions", "/detokenize")
    assert len(completions["prompt"]) == len(tiny_tokenizer()(TURN * 2)["input_ids"]) + 5
    assert detokenize["tokens"] == list(range(259))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda body: (200, scored(body, prompt_logprobs=None)), "returns no prompt_logprobs; a vLLM server does"),
        (lambda body: (200, scored(body, prompt_logprobs=[None])), "no log-probabilities .*: not the answer"),
        ((404, {"message": "The model `big` does not exist."}), "404 .*`big` does not exist.*check server.url, model"),
        ((400, {"message": "maximum context length is 8"}), "no log-probabilities .*400 .*maximum context length is 8"),
    ],
)  # fmt: skip
def test_server_that_cannot_teach_is_refused(answer: Any, message: str) -> None:
    with chat_server(behaving(answer)) as server, pytest.raises(EngineError, match=message):
        asked(server.url)


def test_server_of_another_vocabulary_is_refused() -> None:
    answer = behaving(lambda body: (200, scored(body)), text="<|endoftext|><|im_start|>other")
    message = r"big at {} has another vocabulary: in the text of all ids, where the student has '<\|im_end"
    with chat_server(answer) as server, chat_server(behaving(lambda body: (200, scored(body)))) as ours:
        for urls in ([server.url], [ours.url, server.url]):  # of several each is looked at
            with pytest.raises(ModelError, match=message.format(server.url)):
                asked(*urls)


def test_server_that_is_not_there_is_one_line() -> None:
    with chat_server(behaving((200, {}))) as server:
        url = server.url
    with pytest.raises(EngineError, match=r"can't be reached .*; start the server, or check server\.url"):
        asked(url)


def test_servers_share_the_rows_of_a_step() -> None:
    pairs = [([1, 2], [at, at + 1]) for at in range(20)]
    with chat_server(lambda body: (200, scored(body))) as one, chat_server(lambda body: (500, {})) as broken:
        server = ServerConfig(urls=[broken.url, one.url], model="big", retries=0)
        found = prompt_logprobs(pairs, server)
    assert found == [[-at / 100, -(at + 1) / 100] for at in range(20)]
    assert len(broken.bodies) >= 3  # then it is left out
