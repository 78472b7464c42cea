"""What a recipe's rewards make of completions from a file, with the reason for each score.

    python -m rewards.score --config gsm8k.yaml --text completions.jsonl [key.path=value …]
    … | python -m rewards.score --config gsm8k.yaml --text -

Each row (a line of JSON, or any other file that `data.rows` reads) has the completion (`text`, `completion`, `response`
or `output`) and its gold answer (`gold`, `answer` or `ground_truth`), and may have `question`, `id`, `options`,
`grader`, `completion_ids`, `completion_tokens` and `thinking_tokens`: a run's `rollouts.jsonl` will do. Where `id` and
`question` are those of a problem that the recipe generates, or reads from a file, the row is graded as that problem. A
completion may be a list of messages, as TRL has it: the last one counts. Without token counts, words are counted.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import recipe_parser, run_command
from configs.errors import DataError

if TYPE_CHECKING:
    from configs.schema.sections import DataConfig
    from data.cells import Fields
    from data.problem import Problem
    from data.think_format import ThinkFormat
    from rewards.composition import Member, RewardSet, Scores
    from rewards.rollout import Rollout

    Known = Mapping[tuple[object, object], Problem]

_TEXT = ("text", "completion", "response", "output")
_GOLD = ("gold", "answer", "ground_truth")


def main(argv: list[str]) -> None:
    """Recipe → rewards → one table a completion, and one over all."""
    parser = recipe_parser("rewards.score", "grpo", "Score completions from a file.")
    parser.add_argument("--text", required=True, help="JSONL file of completions, or - for stdin")
    args = parser.parse_intermixed_args(argv)

    from configs.recipe import load_recipe
    from data.think_format import resolve_think_format
    from rewards.composition import statistics
    from rewards.registry import build_rewards
    from rewards.shipped.correctness import is_correct

    config = load_recipe("grpo", args.config, args.overrides)
    reward_set = build_rewards(config.rewards)
    think_format = resolve_think_format(config.think_format)
    known = known_problems(config.data)
    rollouts = read_rollouts(args.text, think_format, config.completion_length, known)
    raw = reward_set.raw(rollouts)
    scores = reward_set.shaped(raw)
    for line in table(reward_set, rollouts, raw, scores):
        print(line)
    print(f"\n{'reward':<18}{'mean':>9}{'spread':>9}{'None':>8}  correlation with correctness")
    for name, column in statistics(scores, is_correct(rollouts)).items():
        shown = [_number(value) for value in (column.mean, column.std)]
        print(f"{name:<18}{shown[0]:>9}{shown[1]:>9}{column.none_share:>8.1%}  {_number(column.correlation)}")
    if hint := format_hint(rollouts, think_format):
        print(f"\n{hint}")


def known_problems(data: "DataConfig") -> "Known":
    """The recipe's problems by id and question, where they are at hand: generated, or in a file."""
    from data.sources import load_problems

    if not data.path and not data.source.startswith("reasoning_gym:"):
        return {}
    return {(p.id, p.question): p for p in load_problems(data, rejected=lambda _: None)}


def read_rollouts(
    path: str, think_format: "ThinkFormat", max_tokens: int, known: "Known | None" = None
) -> "list[Rollout]":
    """The completions of a file (`-`: JSONL from stdin), under the run's limit; raises DataError that names the row.

    `known`: problems that a row may be about, by id and question.
    """
    from data.json_rows import jsonl_rows
    from data.rows import read_rows

    name = "stdin" if path == "-" else path
    rollouts: list[Rollout] = []
    for row in jsonl_rows(sys.stdin) if path == "-" else read_rows(Path(path)):
        where = f"{name}, line {row.line}"
        if row.error:
            raise DataError(f"{where}: {row.error}; give one JSON object a line")
        rollouts.append(_rollout(row.fields, where, think_format, max_tokens, known or {}))
    if not rollouts:
        raise DataError(f"{name}: is empty; give one JSON object a line, with `text` and `answer`")
    return rollouts


def format_hint(rollouts: "Sequence[Rollout]", think_format: "ThinkFormat") -> str | None:
    """A line on the think format that most completions are written in, where few are in the recipe's; else None."""
    from data.think_format import THINK_FORMATS

    def written_in(other: "ThinkFormat") -> int:
        return sum(other.open in rollout.text or other.end.strip() in rollout.text for rollout in rollouts)

    best = max((other for other in THINK_FORMATS.values() if other.has_thinking), key=written_in)
    seen, own = written_in(best), written_in(think_format) if think_format.has_thinking else 0
    if 2 * seen <= len(rollouts) or 4 * own > len(rollouts):
        return None
    return (
        f"{seen} of {len(rollouts)} completions look like {best.name}, {own} like the recipe's {think_format.name}; "
        f"to score them as such: think_format={best.name}"
    )


def table(reward_set: "RewardSet", rollouts: "Sequence[Rollout]", raw: "Scores", scores: "Scores") -> Iterable[str]:
    """The lines to print: a head for each completion, then each reward's score, weighted score, and reason."""
    for row, (rollout, total) in enumerate(zip(rollouts, reward_set.totals(scores), strict=True)):
        yield f"\n{rollout.problem.id}: total {_number(total)}"
        for member in reward_set.members:
            score = scores[member.name][row]
            weighted = None if score is None else score * member.weight
            why = reason(reward_set, member, rollout, raw, scores, row)
            yield f"  {member.name:<18}{_number(score):>9}{_number(weighted):>9}  {why}"


def reason(
    reward_set: "RewardSet", member: "Member", rollout: "Rollout", raw: "Scores", scores: "Scores", row: int
) -> str:
    """Why one reward gave one score, what gates, clip and `required` made of it included."""
    from rewards.explain import why

    parts = [why(member.name, rollout)]
    own, shown = raw[member.name][row], scores[member.name][row]
    missing = [other.name for other in reward_set.members if other.required and raw[other.name][row] is None]
    if missing:
        parts.append(f"required {missing[0]} could not be judged")
    elif member.gate and not member.gate.admits(raw[member.gate.reward][row]):
        gate = member.gate
        parts.append(f"gate not met: {gate.reward} {gate.comparison} {gate.value:g}")
    elif own != shown:
        parts.append(f"clipped from {_number(own)}")
    return "; ".join(part for part in parts if part)


def _rollout(record: "Fields", where: str, think_format: "ThinkFormat", max_tokens: int, known: "Known") -> "Rollout":
    from data.row import BadRow
    from rewards.grading.extract import extract
    from rewards.rollout import Rollout

    text = _completion(record, where)
    try:
        prompt = _prompt(record)
        problem = known.get((record.get("id"), record.get("question"))) or _problem(record, where, prompt)
    except BadRow as error:
        raise DataError(f"{where}: {error}") from None
    return Rollout(
        problem=problem,
        text=text,
        think_format=think_format,
        prompt=prompt,
        completion_tokens=_count(record, "completion_tokens", text, where),
        thinking_tokens=_count(record, "thinking_tokens", extract(text, think_format).thinking or "", where),
        max_tokens=max_tokens,
        truncated=bool(record.get("truncated", False)) or record.get("finish") == "length",
        completion_ids=_ids(record, where),
    )


def _problem(record: "Fields", where: str, prompt: str) -> "Problem":
    """What the completion answers, as far as its own row says it. Raises `BadRow`."""
    from data.cells import gold_of
    from data.multiple_choice import pose
    from data.problem import Problem

    column = _field(record, _GOLD, where)
    return pose(
        Problem(
            id=str(record.get("id", where)),
            question=str(record.get("question", prompt)),
            answer=gold_of(record[column], column),
            source="file",
            metadata={name: record[name] for name in ("options", "choices") if name in record},
            grader=str(record.get("grader") or "math"),
        )
    )


def _prompt(record: "Fields") -> str:
    """The prompt, of messages the last one; "" for none. Raises `BadRow` for what is neither."""
    from data.cells import text_at
    from data.messages import messages_in, read_message

    messages = messages_in(record.get("prompt"))
    return read_message(messages[-1]).text if messages else text_at(record, "prompt")


def _ids(record: "Fields", where: str) -> tuple[int, ...]:
    """`completion_ids`; () where the record has none."""
    ids = record.get("completion_ids")
    if ids is None:
        return ()
    if not isinstance(ids, list) or not all(isinstance(id, int) for id in ids):
        raise DataError(f"{where}: completion_ids is no list of token ids; give whole numbers, or leave it out")
    return tuple(ids)


def _completion(record: "Fields", where: str) -> str:
    """The completion, which TRL has as a list of messages for conversational data."""
    name = _field(record, _TEXT, where)
    value = record[name]
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content")
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} is no text; give a string, or a list of messages with `content`")
    return value


def _field(record: "Fields", names: Sequence[str], where: str) -> str:
    """The first of `names` that the record has."""
    for name in names:
        if record.get(name) is not None:
            return name
    raise DataError(f"{where}: has none of {', '.join(names)}; it has {', '.join(record) or 'no fields'}")


def _count(record: "Fields", name: str, text: str, where: str) -> int:
    """The token count in the record, or the words of `text`."""
    value = record.get(name)
    if value is None:
        return len(text.split())
    if not isinstance(value, int) or value < 0:
        raise DataError(f"{where}: {name} is {value!r}; give a whole number, or leave it out")
    return value


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    run_command(main)
