"""BERTScore: how near the words of a text are to those of its gold text, in the embeddings of a model.

Source: Zhang et al. 2020 (arXiv 1904.09675).
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import RewardError, first_line
from rewards.grading.text_metrics.metric import Floats, References, TextMetric, mean_of

PREFIX = "bertscore:"
_NO_LIMIT = 1 << 20  # what a tokenizer without a length of its own says is far above


def bert_score(model: str) -> TextMetric:
    """The mean F1 by bert-score with the model in a folder or on the hub; `MODEL#9` takes its ninth layer.

    The layer of a model that bert-score knows by name is the one that was tuned; of another it has to be named. Raises
    `RewardError`.
    """
    name, _, layer = model.partition("#")
    scorer = _scorer(name, layer)

    def statistics(answers: Sequence[str], references: Sequence[References]) -> Floats:
        rows = np.zeros((len(answers), 2))
        rows[:, 1] = 1
        # an empty text is near nothing, and bert-score 0.3.13 raises for it
        golds = [[gold for gold in its if gold.strip()] for its in references]
        said = [at for at, (answer, its) in enumerate(zip(answers, golds, strict=True)) if answer.strip() and its]
        if said:
            _, _, f1 = scorer.score([answers[at] for at in said], [golds[at] for at in said])  # the best of each
            rows[said, 0] = f1.double().clamp(min=0).numpy()
        return rows

    about = f"bert-score {version('bert-score')}, F1, mean of sentences, {Path(name).name} layer {scorer.num_layers}"
    return TextMetric(PREFIX + model, about, statistics, mean_of)


def _scorer(name: str, layer: str) -> Any:  # a BERTScorer, which has no types
    from bert_score import BERTScorer
    from bert_score.utils import model2layers

    known = model2layers.get(name) or model2layers.get(Path(name).name)
    if not layer.isdecimal() and (layer or known is None):
        raise RewardError(f"metric '{PREFIX}{name}': bert-score knows no layer for it; name one: {PREFIX}{name}#9")
    try:
        scorer = BERTScorer(model_type=name, num_layers=int(layer) if layer else known)
    except (OSError, ValueError, AssertionError) as error:
        raise RewardError(f"metric '{PREFIX}{name}': {first_line(error)}") from None
    tokenizer = scorer._tokenizer
    if tokenizer.model_max_length > _NO_LIMIT:
        tokenizer.model_max_length = scorer._model.config.max_position_embeddings
    return scorer
