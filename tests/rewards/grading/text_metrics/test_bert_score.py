"""BERTScore with a small random BERT, against bert-score itself."""

from pathlib import Path

import pytest
from bert_score import BERTScorer
from transformers import BertConfig, BertModel, BertTokenizerFast

from configs.errors import RewardError
from rewards.grading.text_metrics.registry import text_metric

pytestmark = pytest.mark.engine

PAIRS = [("患者头痛三天", "患者头痛三日"), ("裙子", "裙子"), ("abc", "患者"), ("头痛" * 40, "头痛")]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"患者头痛三天日裙子abc"]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=64, **shape)
    BertModel(config).save_pretrained(folder)
    return folder


def test_agrees_with_its_library(bert: Path) -> None:
    metric = text_metric(f"bertscore:{bert}#2")
    answers, golds = zip(*PAIRS, strict=True)
    scorer = BERTScorer(model_type=str(bert), num_layers=2)
    scorer._tokenizer.model_max_length = 64
    expected = scorer.score(list(answers), list(golds))[2]
    rows = metric.statistics(answers, [[gold] for gold in golds])
    assert rows[:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert metric.value(rows.sum(axis=0)) == pytest.approx(float(expected.mean()), abs=1e-6)
    assert rows[1, 0] == pytest.approx(1, abs=1e-5)


def test_empty_text_is_near_nothing(bert: Path) -> None:
    rows = text_metric(f"bertscore:{bert}#2").statistics(["", " ", "头痛"], [["头痛"]] * 3)
    assert rows[:, 0].tolist() == pytest.approx([0, 0, 1], abs=1e-5)


def test_of_several_gold_texts_the_best_counts(bert: Path) -> None:
    metric = text_metric(f"bertscore:{bert}#2")
    [[alone, _], [several, _]] = metric.statistics(["头痛三天"] * 2, [["裙子"], ["裙子", "头痛三天", " "]])
    assert several == pytest.approx(1, abs=1e-5)
    assert alone < several


@pytest.mark.parametrize(("suffix", "said"), [("", "name one"), ("#x", "name one"), ("#9", "between 0 and 3")])
def test_layer_is_named(bert: Path, suffix: str, said: str) -> None:
    with pytest.raises(RewardError, match=said):
        text_metric(f"bertscore:{bert}{suffix}")


def test_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="bertscore"):
        text_metric(f"bertscore:{tmp_path}#2")
