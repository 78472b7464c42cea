"""BLEU and chrF: sacrebleu's, over the corpus, and the BLEU-4 that LLaMA-Factory prints.

Of several gold texts BLEU clips an n-gram by the text that has it most often, and takes the length nearest to the
answer's; chrF takes the text that is nearest to the answer.

Sources: Papineni et al. 2002 §2.1, §2.2.2; Post 2018 (arXiv 1804.08771); Popović 2015.
"""

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from rewards.grading.text_metrics.metric import Floats, References, TextMetric, mean_metric

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

CHINESE = "zh"
"""sacrebleu's tokenizer: a Chinese character is a word, other text is split as its default (13a) does."""


def bleu() -> TextMetric:
    """BLEU-4 of the corpus."""
    from sacrebleu.metrics.bleu import BLEU

    return _of_corpus("bleu", "tokenize zh, smooth exp", BLEU(tokenize=CHINESE))


def chrf() -> TextMetric:
    """chrF2 of the corpus: an F score of character 1- to 6-grams that weighs recall twice."""
    from sacrebleu.metrics.chrf import CHRF

    return _of_corpus("chrf", "6 characters, no words, beta 2", CHRF())


def _of_corpus(name: str, settings: str, metric: "Metric") -> TextMetric:
    from rewards.grading.text_metrics.sacrebleu_internals import corpus_score, pair_statistics

    def value(sums: Floats) -> float:
        return min(1.0, corpus_score(metric, sums) / 100)  # rounding may give 100.00000000000004

    about = f"sacrebleu {version('sacrebleu')}, corpus, {settings}"
    return TextMetric(name, about, partial(pair_statistics, metric), value)


def sentence_bleu() -> TextMetric:
    """The mean of sentences' BLEU, each up to the longest n-gram that it can have: a right answer of one word is 1."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=CHINESE, effective_order=True)

    def score(answer: str, golds: References) -> float:
        return min(1.0, metric.sentence_score(answer, golds).score / 100)

    about = f"sacrebleu {version('sacrebleu')}, mean of sentences, tokenize zh, smooth exp, effective order"
    return mean_metric("sentence_bleu", about, score)


def bleu4_llamafactory() -> TextMetric:
    """`predict_bleu-4` of LLaMA-Factory: the mean of NLTK's sentence BLEU over characters, smoothed by its method 3."""
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import sentence_bleu as nltk_bleu

    smoothing = SmoothingFunction().method3

    def score(answer: str, golds: References) -> float:
        wanted = [list(gold) for gold in golds]
        return float(nltk_bleu(wanted, list(answer), smoothing_function=smoothing)) if answer else 0.0

    about = f"nltk {version('nltk')}, mean of sentences, characters, method3 (LLaMA-Factory's)"
    return mean_metric("bleu4_llamafactory", about, score)
