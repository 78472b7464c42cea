"""A recipe's data, ready to train on: traces read, held-out and validation rows set apart, encoded, fitted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from configs.errors import DataError
from configs.schema.sft import SftConfig, ValidationConfig
from curation.mixture import counts, split_rows
from data.balance import part_differences
from data.corpus import load_traces
from data.draw import drawn
from data.formats import Reject, stop
from data.problem import Problem, Trace
from data.residue import count_residue, residue_lines
from data.splits import split_traces
from data.think_format import NONE, ThinkFormat
from sft.dataset import Example, Ledger, fit, ledger
from sft.encoding import encode_traces


@dataclass(frozen=True, slots=True)
class Prepared:
    """`think_format`: how the rows are written, and held-out problems asked: see `format_of`.

    `loss`: what of the conversations among the rows carries loss, in words; "" where there are none.
    `rejected`: one object a row that could not be read or rendered, as `rejected.jsonl` holds it. Without
    `bad_rows: skip` only rows that their source is known to have, such as MATH's without an answer.
    `warnings`: a line each for what is trained on as it is, and may not be meant.
    """

    think_format: ThinkFormat
    train: list[Example]
    validation: list[Example]
    held_out: list[Problem]
    ledger: Ledger
    loss: str
    rejected: list[dict[str, Any]]
    warnings: list[str]

    def summary(self) -> str:
        """What came in and what is lost, for the screen."""
        kept = self.ledger
        lines = [f"{len(self.train):,} rows to train on, {len(self.validation):,} to validate on"]
        lines.append(
            f"{kept.over_limit:,} of {kept.rows:,} rows are over {kept.limit:,} tokens ({kept.policy}); "
            f"99% fit in {kept.limit_p99:,}, all in {kept.limit_max:,}"
        )
        if kept.split:
            lines.append(f"{kept.split:,} of them are documents and split into {kept.pieces:,} pieces: nothing is lost")
        if kept.over_limit > kept.split:
            lines.append(
                f"past the limit are {kept.tokens_lost:,} tokens, {kept.lost_answer:,} answers and "
                f"{kept.lost_end_of_thinking:,} ends of thinking; {kept.left_out:,} rows are left out"
            )
        lines += [self.loss] if self.loss else []
        reasons: Counter[str] = Counter()
        for row in self.rejected:
            reasons[row["reason"]] += row.get("lines", 1)
        lines += [f"rejected {count:,}: {reason}" for reason, count in reasons.most_common(5)]
        return "\n".join([*lines, *self.warnings])

    def check(self, config: SftConfig) -> None:
        """Raise `DataError` for rows that `truncation: error` won't have, and where no row is left."""
        kept, limit = self.ledger, f"model.max_length={self.ledger.limit}"
        over = kept.over_limit - kept.split
        if kept.policy == "error" and over:
            longest = max((*self.train, *self.validation), key=lambda example: len(example.input_ids))
            raise DataError(
                f"{over} of {kept.rows} rows are longer than {limit} (row {longest.id}: {len(longest.input_ids)} "
                f"tokens); raise the limit ({kept.limit_p99} keeps 99% of the rows, {kept.limit_max} all), or say what "
                "to lose: truncation=drop or truncation=cut"
            )
        why = f" within {limit} (truncation={kept.policy}); raise the limit"
        if self.rejected and not kept.left_out:
            why = f": {len(self.rejected):,} are bad, the first: {self.rejected[0]['reason']}; mend them"
        if not self.train:
            raise DataError(f"data: no row to train on is left{why}")
        if config.validation and not self.validation:
            raise DataError(f"validation: no row is left{why}, or name others")

    def sequences(self, config: SftConfig) -> int:
        """How many sequences an epoch has: rows, or what they are packed into at best."""
        tokens = sum(len(example.input_ids) for example in self.train)
        return -(-tokens // config.model.max_length) if config.trl_setting("packing") else len(self.train)


def prepare(config: SftConfig, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat) -> Prepared:
    """Read, split, encode and fit. Raises `DataError` for a bad row, unless `bad_rows` is "skip"."""
    rejected: list[dict[str, Any]] = []
    skip = config.bad_rows == "skip"

    def reject(found: Reject) -> None:
        if not skip:
            stop(found)
        rejected.append(found.as_json())

    def encoded(traces: Sequence[Trace]) -> list[Example]:
        examples = []
        for trace, example in zip(
            traces, encode_traces(traces, tokenizer, think_format, config.trained_tokens), strict=True
        ):
            if isinstance(example, Example):
                examples.append(example)
            elif skip:
                rejected.append({"file": trace.source, "id": trace.id, "reason": str(example)})
            else:
                raise example
        return examples

    # 1. the rows, and what is set apart from them
    traces = _mixed(config, reject)
    if not traces:
        bad = "".join(f"; {len(rejected):,} are bad, the first in {r['file']}: {r['reason']}" for r in rejected[:1])
        raise DataError(f"data: no row is left{bad}; mend them, or name another file")
    think_format = format_of(traces, think_format)
    _check_thinking(traces, think_format)
    kept, held_out = split_traces(traces, config.eval, config.data.seed)
    rest, apart = _validation(kept, config.validation, reject, config.seed)
    _check_thinking(apart, think_format)

    # 2. as token ids, and what a reader should know of them
    train, validation = encoded(rest), encoded(apart)
    warnings = residue_lines(count_residue(rest)) + _part_differences(config, rest, apart, held_out)
    limit, policy = config.model.max_length, config.truncation
    counted = ledger([*train, *validation], limit, policy)
    loss = _loss_of_conversations([*rest, *apart], config)
    return Prepared(
        think_format=think_format,
        train=fit(train, limit, policy),
        validation=fit(validation, limit, policy),
        held_out=held_out,
        ledger=counted,
        loss=loss,
        rejected=rejected,
        warnings=warnings,
    )


def _part_differences(
    config: SftConfig, train: Sequence[Trace], validation: Sequence[Trace], held_out: Sequence[Problem]
) -> list[str]:
    """Where validation and held-out rows are others than those that are trained on; a benchmark is meant to be."""
    parts: dict[str, Sequence[Trace | Problem]] = {"train": train, "validation": validation}
    if config.eval is None or config.eval.data is None or config.eval.data.path:
        parts["held-out"] = held_out
    return part_differences(parts)


def _mixed(config: SftConfig, rejected: Callable[[Reject], None]) -> list[Trace]:
    """The rows of `data`, with those of `mix` in their shares; none where one of them has none."""
    sections = {"data": config.data} | {f"mix.{at}": section for at, section in enumerate(config.mix)}
    found = {name: load_traces(section, rejected) for name, section in sections.items()}
    others = {f"mix.{at}": section.share for at, section in enumerate(config.mix)}
    shares = {"data": 1 - sum(others.values())} | others
    wanted = counts({name: len(traces) for name, traces in found.items()}, shares)
    if all(found.values()) and (empty := [name for name, count in wanted.items() if not count]):
        raise DataError(f"mix: with these shares no row of {empty[0]} is left; lower the others, or give more rows")
    if config.mix:
        print("mix: " + ", ".join(f"{wanted[name]:,} of {len(rows):,} rows of {name}" for name, rows in found.items()))
    return [trace for name, rows in found.items() for trace in drawn(rows, wanted[name], sections[name].seed)]


def format_of(traces: Sequence[Trace], think_format: ThinkFormat) -> ThinkFormat:
    """The recipe's format, or `none` where no row has thinking.

    Such rows are plain replies to plain prompts: a model that learns them is not to be asked with its thinking opened.
    """
    return think_format if any(trace.thinking.strip() for trace in traces) else NONE


def _loss_of_conversations(traces: Sequence[Trace], config: SftConfig) -> str:
    """`Prepared.loss`."""
    count = sum(bool(trace.history) for trace in traces)
    if not count:
        return ""
    said = {
        "last_turn": "their last reply carries loss (loss_on=all_turns: every reply)",
        "all_turns": "every reply carries loss, the earlier ones as they stand in the prompt, without thinking",
        "every_token": "every token carries loss",
    }
    return f"{count:,} rows are conversations of several turns: {said[config.trained_tokens]}"


def _check_thinking(traces: Sequence[Trace], think_format: ThinkFormat) -> None:
    """Raise `DataError` for rows with thinking under a format that has no place for it."""
    count = sum(bool(trace.thinking.strip()) for trace in traces)
    if count and not think_format.has_thinking:
        raise DataError(
            f"think_format: {think_format.name} trains the reply alone, and {count:,} of {len(traces):,} rows have "
            "thinking; name another think_format, or take the thinking out of the rows"
        )


def _validation(
    traces: list[Trace], config: ValidationConfig | None, rejected: Callable[[Reject], None], seed: int
) -> tuple[list[Trace], list[Trace]]:
    """(rows to train on, rows to validate on)."""
    if config is None:
        return traces, []
    if config.data is not None:
        return traces, load_traces(config.data, rejected)
    shares = {"train": 1 - config.share, "validation": config.share}
    parts = split_rows([trace.identity for trace in traces], shares, seed, key="validation.share")
    return [traces[i] for i in parts["train"]], [traces[i] for i in parts["validation"]]
