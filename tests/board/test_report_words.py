"""A report's texts in the board's language."""

from board.markup import sections
from board.report_words import translated, translator
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
