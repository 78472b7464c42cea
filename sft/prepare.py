"""A recipe's data, ready to train on: traces read, held-out and validation rows set apart, encoded, fitted."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from configs.errors import DataError
from configs.schema import SftConfig, ValidationConfig
from data.corpus import load_traces
from data.formats import Reject
from data.heldout import split_traces
from data.mix import split
from data.problem import Problem, Trace
from data.think import ThinkFormat
from sft.dataset import Example, Ledger, encode, fit, ledger


@dataclass(frozen=True, slots=True)
class Prepared:
    """`rejected`: one object a row that could not be read or rendered, as `rejected.jsonl` holds it."""

    train: list[Example]
    validation: list[Example]
    held_out: list[Problem]
    ledger: Ledger
    rejected: list[dict[str, Any]]

    def summary(self) -> str:
        """What came in and what is lost, for the screen."""
        kept = self.ledger
        lines = [f"{len(self.train):,} rows to train on, {len(self.validation):,} to validate on"]
        lines.append(
            f"{kept.over_limit:,} of {kept.rows:,} rows are over {kept.limit:,} tokens ({kept.policy}); "
            f"99% fit in {kept.limit_p99:,}, all in {kept.limit_max:,}"
        )
        reasons = Counter(row["reason"] for row in self.rejected).most_common(5)
        lines += [f"rejected {count:,}: {reason}" for reason, count in reasons]
        return "\n".join(lines)

    def sequences(self, config: SftConfig) -> int:
        """How many sequences an epoch has: rows, or what they are packed into at best."""
        tokens = sum(len(example.input_ids) for example in self.train)
        return -(-tokens // config.model.max_length) if config.trainer.get("packing") else len(self.train)


def prepare(config: SftConfig, tokenizer: Any, think_format: ThinkFormat) -> Prepared:
    """Read, split, encode and fit. Raises `DataError`: a bad row unless `bad_rows` is "skip", a row over the limit."""
    rejected: list[dict[str, Any]] = []
    skip = config.bad_rows == "skip"

    def reject(found: Reject) -> None:
        fields = json.loads(json.dumps(dict(found.fields), default=str))
        rejected.append({"file": found.file, "line": found.line, "reason": found.reason, "fields": fields})

    def encoded(traces: Sequence[Trace]) -> list[Example]:
        examples = []
        for trace in traces:
            try:
                examples.append(encode(trace, tokenizer, think_format, prompt_too))
            except DataError as error:
                if not skip:
                    raise
                rejected.append({"file": trace.source, "id": trace.id, "reason": str(error)})
        return examples

    prompt_too = config.trainer.get("completion_only_loss") is False
    traces = load_traces(config.data, reject if skip else None)
    if not traces:
        raise DataError(
            f"data: all {len(rejected)} rows are bad: {rejected[0]['reason'] if rejected else 'none there'}"
        )
    kept, held_out = split_traces(traces, config.eval, config.data.seed)
    rest, apart = _validation(kept, config.validation, reject if skip else None, config.seed)
    train, validation = encoded(rest), encoded(apart)
    limit, policy = config.model.max_length, config.truncation
    counted = ledger([*train, *validation], limit, policy)
    fitted = fit(validation, limit, policy) if validation else []
    return Prepared(fit(train, limit, policy), fitted, held_out, counted, rejected)


def _validation(
    traces: list[Trace], config: ValidationConfig | None, rejected: Any, seed: int
) -> tuple[list[Trace], list[Trace]]:
    """(rows to train on, rows to validate on)."""
    if config is None:
        return traces, []
    if config.data is not None:
        return traces, load_traces(config.data, rejected)
    parts = split([t.question for t in traces], {"train": 1 - config.share, "validation": config.share}, seed)
    return [traces[i] for i in parts["train"]], [traces[i] for i in parts["validation"]]
