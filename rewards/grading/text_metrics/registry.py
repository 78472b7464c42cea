"""Text metrics by name."""

from collections.abc import Callable
from functools import cache

from configs.errors import RewardError
from configs.suggestion import did_you_mean
from rewards.grading.text_metrics.bert_score import PREFIX, bert_score
from rewards.grading.text_metrics.bleu import bleu, bleu4_llamafactory, chrf, sentence_bleu
from rewards.grading.text_metrics.metric import TextMetric
from rewards.grading.text_metrics.rouge import rouge, rouge_llamafactory

TEXT_METRICS: dict[str, Callable[[], TextMetric]] = {
    "bleu": bleu,
    "sentence_bleu": sentence_bleu,
    "chrf": chrf,
    "rouge1": rouge("rouge1"),
    "rouge2": rouge("rouge2"),
    "rougeL": rouge("rougeL"),
    "bleu4_llamafactory": bleu4_llamafactory,
    "rouge1_llamafactory": rouge_llamafactory("1"),
    "rouge2_llamafactory": rouge_llamafactory("2"),
    "rougel_llamafactory": rouge_llamafactory("l"),
}
"""Name → what makes the metric. A new one is a line here."""


@cache
def text_metric(name: str) -> TextMetric:
    """The metric of that name, or `bertscore:MODEL` with a folder or hub id. Raises `RewardError`."""
    if name.startswith(PREFIX):
        return bert_score(name.removeprefix(PREFIX))
    if name not in TEXT_METRICS:
        hint = did_you_mean(name, TEXT_METRICS, f"known: {', '.join(TEXT_METRICS)}, {PREFIX}MODEL")
        raise RewardError(f"metric '{name}' is unknown; {hint}")
    return TEXT_METRICS[name]()
