"""ROUGE over jieba's words: Google's implementation, and the one that LLaMA-Factory prints.

The two differ by ten points on the same words: the second counts distinct n-grams. Of several gold texts the one with
the best F1 counts, as in rouge-score's `score_multi`. Source: Lin 2004, whose §2.1 takes the best of several too.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version

from rewards.grading.text_metrics.metric import References, TextMetric, mean_metric


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in any language, without white space."""
    import jieba

    jieba.setLogLevel("WARNING")
    return tuple(word for word in jieba.cut(text) if word.strip())


class _Words:
    """What rouge-score takes as a tokenizer; its own knows no letters but a to z."""

    def tokenize(self, text: str) -> tuple[str, ...]:
        return words_of(text)


def rouge(kind: str) -> Callable[[], TextMetric]:
    """The F1 of `rouge1`, `rouge2` or `rougeL`, its mean over pairs, by rouge-score."""

    def metric() -> TextMetric:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([kind], tokenizer=_Words())
        about = f"rouge-score {version('rouge-score')}, F1, mean of sentences, jieba's words"
        return mean_metric(kind, about, lambda answer, golds: float(scorer.score_multi(golds, answer)[kind].fmeasure))

    return metric


def rouge_llamafactory(kind: str) -> Callable[[], TextMetric]:
    """`predict_rouge-1`, `-2` or `-l` of LLaMA-Factory: rouge-chinese's F1, its mean over pairs."""

    def metric() -> TextMetric:
        from rouge_chinese import Rouge

        scorer = Rouge(metrics=[f"rouge-{kind}"])

        def score(answer: str, golds: References) -> float:
            said = " ".join(words_of(answer))
            wanted = [words for gold in golds if (words := " ".join(words_of(gold)))]
            if not said or not wanted:  # it raises for these
                return 0.0
            scores = scorer.get_scores([said] * len(wanted), wanted)
            return max(float(one[f"rouge-{kind}"]["f"]) for one in scores)

        about = f"rouge-chinese {version('rouge-chinese')}, F1, mean of sentences, jieba's words (LLaMA-Factory's)"
        return mean_metric(f"rouge{kind}_llamafactory", about, score)

    return metric
