"""What can be wrong with a teacher, found before anything is trained: its vocabulary, its context, its server."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from budget_forcing.budget import resolve
from budget_forcing.tokens import think_tokens
from configs.errors import ModelError, MullError
from configs.schema.grpo import GrpoConfig
from configs.schema.sections import ServerConfig
from data.problem import Problem
from data.prompts import check_lengths, token_ids
from data.think_format import ThinkFormat
from models.backend import about_teacher
from models.engines.generation import decode
from models.frozen import shares_base
from models.server import prompt_logprobs, vocabulary_difference
from models.tokenizer import load_tokenizer
from rl.teacher import thinking_budget


def check_teacher(
    config: GrpoConfig, prompts: Sequence[str], tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat
) -> int:
    """How many token ids student and teacher have in common, from 0 on; `prompts` are those that the student has.

    Raises a `MullError`. Nothing is asked of a server: see `check_server`.
    """
    model = config.teacher.model if config.teacher else None
    if model is None:
        return len(tokenizer)
    with about_teacher():
        other = load_tokenizer(model)
    turn = prompts[0] + think_format.render("So?", "7").removeprefix(think_format.prefill) + str(tokenizer.eos_token)
    check_vocabulary(tokenizer, other, model.name, turn)
    return min(len(tokenizer), len(other))


def check_vocabulary(student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase, name: str, turn: str) -> None:
    """Raise `ModelError` unless an id means to the teacher what it means to the student.

    A vocabulary may have added tokens that the other lacks, and padding; `turn` is a whole turn of the student's, which
    both have to read as the same ids.
    """
    way_out = "take a teacher of the student's family, whose tokenizer is the same"
    mine, theirs = student.get_vocab(), teacher.get_vocab()
    common = mine.keys() & theirs.keys()
    if moved := sorted((token for token in common if mine[token] != theirs[token]), key=mine.__getitem__):
        raise ModelError(
            f"teacher.model.name: {name} has another vocabulary: of {len(common):,} tokens that both have, "
            f"{len(moved):,} have other ids, such as {moved[0]!r}, {mine[moved[0]]} to the student and "
            f"{theirs[moved[0]]} to the teacher; {way_out}"
        )
    if lacking := sorted(mine.keys() - theirs.keys() - student.get_added_vocab().keys()):
        raise ModelError(
            f"teacher.model.name: {name} has another vocabulary: it lacks {len(lacking):,} of the student's "
            f"{len(mine):,} tokens, such as {lacking[0]!r}; {way_out}"
        )
    read, reads = token_ids(student, [turn])[0], token_ids(teacher, [turn])[0]
    if read != reads:
        differing = [token for token, other in zip(read, reads, strict=False) if token != other]
        raise ModelError(
            f"teacher.model.name: {name} reads the student's own turns as other tokens, from "
            f"{decode(student, differing[:1])!r} on; set another think_format, or {way_out}"
        )


def check_context(
    config: GrpoConfig,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
) -> None:
    """Raise a `MullError` where `prompts`, those that the teacher has, and thinking leave no room for a completion."""
    section, model = config.teacher, config.teacher_model
    if section is None or model is None:
        return
    ids, limit = token_ids(tokenizer, prompts), f"{'model' if section.self else 'teacher.model'}.max_length"
    try:
        setting = "trainer.max_completion_length"
        longest = check_lengths(problems, ids, config.completion_length, model.max_length, setting, limit)
        if section.budget:
            tokens = think_tokens(think_format, tokenizer)
            resolve(thinking_budget(config), tokens, tokenizer, longest, model.max_length)
    except MullError as error:
        raise type(error)(f"teacher: {error}") from error


def check_server(
    server: ServerConfig, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], completion: int
) -> None:
    """Raise a `MullError` unless each server scores the longest prompt with so many tokens after it, in our ids."""
    longest = max(token_ids(tokenizer, prompts), key=len)
    for url in server.addresses:
        # 1. it answers, knows the model, has log-probabilities of given tokens, and room for the longest row
        one = server.model_copy(update={"url": url, "urls": []})
        prompt_logprobs([(longest, [tokenizer.eos_token_id] * completion)], one)

        # 2. its ids are ours: all of them in a row are one text
        if difference := vocabulary_difference(tokenizer, one):
            raise ModelError(
                f"teacher.server: {server.model} at {url} has another vocabulary: in the text of all ids, where the "
                f"student has {difference[0]!r} it has {difference[1]!r}; serve a model of the student's family, whose "
                "tokenizer is the same"
            )


def described(config: GrpoConfig, problems: Sequence[Problem]) -> str:
    """Who teaches and what it sees, in a line; "" without a teacher."""
    section, model = config.teacher, config.teacher_model
    if section is None:
        return ""
    if section.server:
        who = f"{section.server.model} at {', '.join(section.server.addresses)}"
    else:
        assert model is not None
        name = "the model that training starts from" if section.self else model.name
        adapter = f" with {model.adapter}" if model.adapter else ""
        where = "on the student's base weights" if shares_base(model, config) else "with weights of its own"
        who = f"{name}{adapter}, {where}"
    sees = "it sees what the student sees"
    if section.sees == "solution":
        solved = sum(problem.solution is not None for problem in problems)
        sees = f"it sees the gold answers, and the solutions of {solved} of {len(problems)} problems"
    if section.budget:
        sees = "it judges answers, after thinking of its own budget"
    alone = "" if config.rewards else "; no rewards"
    return f"{who}; {sees}; weight {section.weight:g}{alone}"
