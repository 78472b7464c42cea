"""Text metrics against the libraries that they stand for, and as graders."""

import random
from collections.abc import Sequence
from typing import Any

import jieba
import numpy as np
import pytest
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge
from rouge_score.rouge_scorer import RougeScorer

from configs.errors import RewardError
from data.problem import TEXT_GRADERS, Problem
from data.think_format import S1
from rewards.grading.grade import grade
from rewards.grading.text_metrics.registry import TEXT_METRICS, text_metric
from rewards.registry import build_rewards
from rewards.rollout import Rollout

PAIRS = [
    ("患者头痛三天，无发热。", "患者头痛三日，伴恶心，无发热。"),
    ("宽松的裙子显瘦", "宽松版型的裙子显瘦遮肉"),
    ("裙子", "裙子"),
    ("the cat sat on the mat", "the cat is on the mat"),
    ("服用 ibuprofen 200mg", "服用布洛芬 200 mg，一日两次"),
    ("糖尿病糖尿病糖尿病", "糖尿病"),
    ("完全不同", "没有一个字相合"),
    ("", "空的回答"),
]


def figure(name: str, pairs: Sequence[tuple[str, str]]) -> float:
    return figure_of_several(name, [(answer, [gold]) for answer, gold in pairs])


def figure_of_several(name: str, cases: Sequence[tuple[str, list[str]]]) -> float:
    metric = text_metric(name)
    answers, references = zip(*cases, strict=True)
    return 100 * metric.value(metric.statistics(answers, references).sum(axis=0))


def test_bleu_is_sacrebleus() -> None:
    answers, golds = (list(side) for side in zip(*PAIRS, strict=True))
    assert figure("bleu", PAIRS) == pytest.approx(
        sacrebleu.corpus_bleu(answers, [golds], tokenize="zh").score, abs=1e-9
    )
    expected = [sacrebleu.sentence_bleu(a, [g], tokenize="zh").score for a, g in PAIRS]
    assert figure("sentence_bleu", PAIRS) == pytest.approx(float(np.mean(expected)), abs=1e-9)


def test_chrf_is_sacrebleus() -> None:
    answers, golds = (list(side) for side in zip(*PAIRS, strict=True))
    assert figure("chrf", PAIRS) == pytest.approx(sacrebleu.corpus_chrf(answers, [golds]).score, abs=1e-9)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_any_resample_has_its_corpus_score(name: str) -> None:
    answers, golds = zip(*PAIRS, strict=True)
    rows = text_metric(name).statistics(answers, [[gold] for gold in golds])
    for seed in range(20):
        drawn = random.Random(seed).choices(range(len(PAIRS)), k=6)
        texts = [answers[at] for at in drawn], [[golds[at] for at in drawn]]
        whole = sacrebleu.corpus_bleu(*texts, tokenize="zh") if name == "bleu" else sacrebleu.corpus_chrf(*texts)
        assert 100 * text_metric(name).value(rows[drawn].sum(axis=0)) == pytest.approx(whole.score, abs=1e-9)


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_rouge_is_googles_over_jiebas_words(kind: str) -> None:
    class Words:
        def tokenize(self, text: str) -> list[str]:
            return [word for word in jieba.lcut(text) if word.strip()]

    scorer = RougeScorer([kind], tokenizer=Words())
    expected = [100 * scorer.score(gold, answer)[kind].fmeasure for answer, gold in PAIRS]
    assert figure(kind, PAIRS) == pytest.approx(float(np.mean(expected)), abs=1e-9)
    assert figure(kind, [("患者头痛", "患者头痛")]) == pytest.approx(100)  # rouge-score's own tokenizer says 0


@pytest.mark.parametrize(("kind", "name"), [("1", "rouge-1"), ("2", "rouge-2"), ("l", "rouge-l")])
def test_llamafactorys_rouge(kind: str, name: str) -> None:
    texts = [(" ".join(jieba.lcut(answer)), " ".join(jieba.lcut(gold))) for answer, gold in PAIRS if answer]
    expected = [100 * Rouge().get_scores(*pair)[0][name]["f"] for pair in texts]
    assert figure(f"rouge{kind}_llamafactory", PAIRS) == pytest.approx(sum(expected) / len(PAIRS), abs=1e-9)


def test_llamafactorys_bleu() -> None:
    def score(answer: str, gold: str) -> float:
        return float(sentence_bleu([list(gold)], list(answer), smoothing_function=SmoothingFunction().method3))

    expected = [100 * score(answer, gold) if answer else 0.0 for answer, gold in PAIRS]
    assert figure("bleu4_llamafactory", PAIRS) == pytest.approx(float(np.mean(expected)), abs=1e-9)
    assert figure("bleu4_llamafactory", [("糖尿病", "糖尿病")]) == pytest.approx(84.09, abs=0.01)


SEVERAL = [
    ("患者头痛三天，无发热。", ["患者头痛三日，伴恶心，无发热。", "头痛3天，体温正常", "患者三天来头痛，无发热。"]),
    ("糖尿病糖尿病", ["糖尿病", "糖尿病糖尿病足"]),
    ("the cat sat on the mat", ["a cat sat", "there is a cat on the mat", "on the mat the cat sat"]),
    ("裙子", ["裙子", "裤子"]),
    ("一个参考", ["一个参考答案"]),
    ("", ["空的回答", "没有回答"]),
]
"""Answers with one to three gold texts each."""
STREAMS: Any = [[golds[at] if at < len(golds) else None for _, golds in SEVERAL] for at in range(3)]
"""The same gold texts as sacrebleu wants them."""


def test_bleu_and_chrf_of_several_are_sacrebleus() -> None:
    answers = [answer for answer, _ in SEVERAL]
    whole = sacrebleu.corpus_bleu(answers, STREAMS, tokenize="zh")
    assert figure_of_several("bleu", SEVERAL) == pytest.approx(whole.score, abs=1e-9)
    assert whole.score > figure("bleu", [(answer, golds[0]) for answer, golds in SEVERAL]) + 5
    chrf = sacrebleu.corpus_chrf(answers, STREAMS).score
    assert figure_of_several("chrf", SEVERAL) == pytest.approx(chrf, abs=1e-9)
    sentences = [
        sacrebleu.sentence_bleu(answer, golds, tokenize="zh", use_effective_order=True).score
        for answer, golds in SEVERAL
    ]
    assert figure_of_several("sentence_bleu", SEVERAL) == pytest.approx(float(np.mean(sentences)), abs=1e-9)


def test_rouge_of_several_is_googles_multi_reference() -> None:
    class Words:
        def tokenize(self, text: str) -> list[str]:
            return [word for word in jieba.lcut(text) if word.strip()]

    for kind in ("rouge1", "rouge2", "rougeL"):
        scorer = RougeScorer([kind], tokenizer=Words())
        expected = [100 * scorer.score_multi(golds, answer)[kind].fmeasure for answer, golds in SEVERAL]
        assert figure_of_several(kind, SEVERAL) == pytest.approx(float(np.mean(expected)), abs=1e-9)


def test_llamafactorys_figures_of_several() -> None:
    def bleu(answer: str, golds: list[str]) -> float:
        method = SmoothingFunction().method3
        return 100 * float(sentence_bleu([list(g) for g in golds], list(answer), smoothing_function=method))

    def rouge(answer: str, golds: list[str]) -> float:
        words = " ".join(jieba.lcut(answer))
        return max(100 * float(Rouge().get_scores(words, " ".join(jieba.lcut(g)))[0]["rouge-l"]["f"]) for g in golds)

    for name, score in (("bleu4_llamafactory", bleu), ("rougel_llamafactory", rouge)):
        expected = sum(score(answer, golds) for answer, golds in SEVERAL if answer) / len(SEVERAL)
        assert figure_of_several(name, SEVERAL) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
def test_another_gold_text_takes_nothing_away(name: str) -> None:
    for answer, golds in SEVERAL:
        fewer = max(figure(name, [(answer, gold)]) for gold in golds)
        # BLEU pools the n-grams of all gold texts, and takes the nearest length
        assert figure_of_several(name, [(answer, golds)]) >= fewer - 1e-9
        assert figure_of_several(name, [(answer, golds[::-1])]) == pytest.approx(
            figure_of_several(name, [(answer, golds)]), abs=1e-9
        )


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
def test_figures_stay_within_0_and_1(name: str) -> None:
    same = [(gold, gold) for _, gold in PAIRS if len(gold) > 6]
    assert figure(name, [("", gold) for _, gold in PAIRS]) == 0
    assert figure(name, same) == pytest.approx(100)
    assert figure(name, same) <= 100
    assert text_metric(name).statistics([], []).shape[0] == 0


def test_unknown_metric_is_named() -> None:
    with pytest.raises(RewardError, match="did you mean 'rougeL'"):
        text_metric("rouge-L")


@pytest.mark.parametrize("grader", TEXT_GRADERS)
def test_as_graders(grader: str) -> None:
    problem = Problem("1", "?", "患者头痛三日，无发热", "test", grader=grader)
    same, near, far, none = grade([problem] * 4, ["患者头痛三日，无发热", "患者头痛三天，无发热", "裙子", ""], None)
    assert same.is_right
    assert same.score == pytest.approx(1)
    assert near.score is not None
    assert 0.3 < near.score < 1
    assert far.score == 0
    assert (none.score, none.reason) == (0, "no answer")
    assert grade([Problem("1", "?", " ", "test", grader=grader)], ["x"], None)[0].score is None


@pytest.mark.parametrize("grader", TEXT_GRADERS)
def test_a_grader_scores_several_as_its_metric_does(grader: str) -> None:
    for answer, golds in SEVERAL[:-1]:
        problem = Problem("1", "?", golds[0], "test", grader=grader, references=tuple(golds))
        [verdict] = grade([problem], [answer], None)
        assert verdict.score is not None
        assert 100 * verdict.score == pytest.approx(figure_of_several(grader, [(answer, golds)]), abs=1e-9)


def test_as_a_reward() -> None:
    rewards = build_rewards([{"name": "grade", "params": {"grader": "rougeL", "score": 2.0}}])
    problem = Problem("1", "?", "患者头痛三日", "test", grader="text")
    texts = ("患者头痛三日", "裙子")
    rollouts = [Rollout(problem, f"<|im_start|>think\n想<|im_start|>answer\n{text}<|im_end|>", S1) for text in texts]
    assert rewards.score(rollouts)["grade"] == [pytest.approx(2.0), 0.0]
    with pytest.raises(RewardError, match="grader 'rouge' is unknown"):
        build_rewards([{"name": "grade", "params": {"grader": "rouge"}}])
