"""A report's texts in the board's language."""

import re

import pytest

from board.markup import sections
from board.report_words import translated, translator
from evaluation import metrics
from evaluation.compare import Comparison
from report import page, plots
from report.training import PLOTS, live_sections

ROWS = [{"step": at, "reward": 0.1 * at, "step_seconds": 75.0, "kl": 0.1} for at in range(1, 5)]


def test_figures_of_a_run_are_chinese() -> None:
    shown = translated(sections(live_sections(ROWS, {})), "zh")
    for text in (
        "平均奖励",
        "最初 → 最后十分之一的步",
        "4 步，中位数 75.0 秒",
        "5 分钟",
        "警告",
        "无。",
        "与参考模型的 KL",
        ">步<",
    ):
        assert text in shown, text
    for text in ("Mean reward", "median", "Warnings", "Reward<", ">step<"):
        assert text not in shown, text


def test_every_main_plot_has_its_words() -> None:
    translate = translator("zh")
    texts = [text for both in PLOTS.values() for text in both if text]
    assert {text for text in texts if translate(text) == text} <= {"GiB"}


def test_english_and_other_texts_stay() -> None:
    shown = sections(
        [
            page.Alarms(["a reward of mine: 3 steps & <b>"]),
            page.Figures("", [("mine", plots.lines("x", [1], {"a": [1]}))]),
        ]
    )
    assert translated(shown, "en") == shown
    assert "a reward of mine: 3 steps &amp; &lt;b&gt;" in translated(shown, "zh")
    assert "<figcaption>mine</figcaption>" in translated(shown, "zh")


def test_values_are_translated_with_their_text() -> None:
    said = "5 steps, median 2.0 s; 3 min of measuring between them on top"
    assert translator("zh")(said) == "5 步，中位数 2.0 秒；另有测量 3 分钟"


ONE = metrics.Interval(0.5, 0.4, 0.6, 8)


def verdict(better: int, worse: int, p: float, needed: int | None) -> str:
    net = (better - worse) / 8
    change = metrics.Interval(net, net - 0.1, net + 0.1, 8)
    return Comparison("", 8, ONE, ONE, change, better, worse, p, "exact McNemar", needed, 0).verdict("eval/a", "eval/b")


@pytest.mark.parametrize(
    ("outcome", "chinese"),
    [
        ((0, 0, 1.0, None), "eval/a 与 eval/b 在 8 道题上得分全部相同。"),
        ((3, 3, 1.0, None), "eval/a 与 eval/b 在 8 道题上相当：eval/a 领先 3 题，eval/b 领先 3 题。"),
        ((4, 1, 0.02, 30), "eval/b 在 8 题中多对 3 题；这样大小的差异偶然出现的概率为 2.0%。"),
        ((1, 4, 0.0001, 30), "eval/b 在 8 题中少对 3 题；这样大小的差异偶然出现的概率为 小于 0.1%。"),
        ((4, 1, 0.3, 90), "偶然出现的概率为 30%。要看清这样的差异约需 90 道题。"),
        ((1, 4, 0.3, 90), "偶然出现的概率为 30%。要看清这样的差异约需 90 道题。"),
    ],
)
def test_every_verdict_is_translated(outcome: tuple[int, int, float, int | None], chinese: str) -> None:
    said = translator("zh")(verdict(*outcome))
    assert chinese in said
    assert not re.search(r"[a-z]{3,}", said.replace("eval/a", "").replace("eval/b", ""))
    assert translator("en")(verdict(*outcome)) == verdict(*outcome)
