"""Each shipped reward: its range, and what earns it."""

import math
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import RewardError
from configs.schema.sections import RewardSpec
from data.problem import Problem
from data.think_format import DEEPSEEK, S1, XML, ThinkFormat
from rewards.registry import SHIPPED, build_rewards
from rewards.rollout import Rollout

NEEDED: dict[str, dict[str, Any]] = {
    "soft_overlong": {"soft_punish_cache": 20},
    "budget": {"target": 100},
    "adaptive_length": {"beta": 0.01},
}
FORMATS = [S1, DEEPSEEK, XML]


def rollout(text: str, think_format: ThinkFormat = XML, gold: str = "42", **facts: Any) -> Rollout:
    """A completion of one problem."""
    return Rollout(Problem("p", "What is 6 · 7?", gold, "test"), text, think_format, **facts)


def answered(answer: str, think_format: ThinkFormat = XML, **facts: Any) -> Rollout:
    """A well-formed completion with this answer."""
    return rollout(think_format.render("6 · 7 is 42.\nSo it is.", answer), think_format, **facts)


def scores(name: str, *rollouts: Rollout, **params: Any) -> list[float | None]:
    """What one reward gives."""
    return build_rewards([RewardSpec(name=name, params=params or NEEDED.get(name, {}))]).score(rollouts)[name]


def test_correctness_pays_two() -> None:
    assert scores("correctness", answered("42"), answered("\\frac{84}{2}"), answered("41"), rollout("42")) == [
        2,
        2,
        0,
        0,
    ]


def test_correctness_can_require_evaluation() -> None:
    texts = [answered("84/2"), answered("40+2"), answered("42"), answered("41")]
    assert scores("correctness", *texts) == [2.0, 2.0, 2.0, 0.0]
    assert scores("correctness", *texts, unevaluated=0.0) == [0.0, 0.0, 2.0, 0.0]
    assert scores("correctness", *texts, unevaluated=0.5) == [1.0, 1.0, 2.0, 0.0]


def test_unevaluated_gold_needs_no_evaluation() -> None:
    assert scores("correctness", answered("2^{10}", gold="2^{10}"), unevaluated=0.0) == [2.0]


def test_undecided_correctness_is_none() -> None:
    assert scores("correctness", answered("9^{9^{9^9}}")) == [None]


def test_partial_credit_is_share_of_list() -> None:
    golds = [answered(answer, gold="1, 2, 3, 4") for answer in ("1, 2", "4,3,2,1", "1,2,9,9", "1,2,3,4,5", "7")]
    assert scores("correctness", *golds, score=1.0, partial=0.5) == [0.25, 1.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    ("answer", "score"), [("42", 0.5), ("-1,234", 0.5), ("４２", 0.5), ("42.0", 0), ("x", 0), ("4 2", 0)]
)
def test_integer_pays_for_any_integer(answer: str, score: float) -> None:
    assert scores("integer", answered(answer)) == [score]


@pytest.mark.parametrize("think_format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["strict_format", "soft_format"])
def test_format_rewards_pay_rendered_text(name: str, think_format: ThinkFormat) -> None:
    right = answered("42", think_format)
    assert scores(
        name, right, replace(right, text=right.text.rstrip() + "<|im_end|>"), rollout("no", think_format)
    ) == [
        0.5,
        0.5,
        0.0,
    ]


def test_only_soft_format_is_lenient() -> None:
    lax = [
        rollout("<reasoning>a</reasoning><answer>b</answer>"),
        replace(answered("42"), text=answered("42").text + "!"),
    ]
    assert scores("strict_format", *lax) == [0.0, 0.0]
    assert scores("soft_format", *lax) == [0.5, 0.5]


@pytest.mark.parametrize("name", ["strict_format", "soft_format", "think_format"])
@pytest.mark.parametrize(
    "text",
    [
        "<reasoning>\na\n</reasoning>\n<answer>\n1\n</answer>\n<answer>\n2\n</answer>\n",
        "<reasoning>\n<reasoning>\na\n</reasoning>\n</reasoning>\n<answer>\n1\n</answer>\n",
        "<answer>\n1\n</answer>\n<reasoning>\na",
    ],
)
def test_misplaced_tags_earn_no_format_reward(name: str, text: str) -> None:
    paid = scores(name, rollout(text))
    if name == "think_format" and "<answer>\n2" in text:
        assert paid == [1.0]  # it is about thinking alone
    else:
        assert paid == [0.0]


@pytest.mark.parametrize("name", ["strict_format", "soft_format"])
def test_empty_parts_earn_no_format_reward(name: str) -> None:
    assert scores(name, answered(" "), rollout(XML.render("", "42"))) == [0.0, 0.0]


def test_xmlcount_pays_an_eighth_per_tag() -> None:
    whole = answered("42").text
    texts = [whole, whole + "x" * 10, whole + "<|im_end|>", "<reasoning>\na\n</reasoning>", "<answer><answer>", "no"]
    assert scores("xmlcount", *map(rollout, texts)) == pytest.approx([0.5, 0.49, 0.5, 0.25, 0.0, 0.0])


def test_tag_rewards_count_prefilled_opening() -> None:
    asked = [rollout("a\n</think>\n42", DEEPSEEK), rollout("<think>a<think></think>", DEEPSEEK)]
    assert scores("xmlcount", *asked) == [0.25, 0.125]
    assert scores("tag_count", *asked) == [1.0, 0.5]


def test_tag_count_is_share_of_single_tags() -> None:
    texts = ["<reasoning> </reasoning> <answer> </answer>", "<reasoning><reasoning></reasoning><answer>", "no"]
    assert scores("tag_count", *map(rollout, texts)) == [1.0, 0.5, 0.0]
    assert scores("tag_count", rollout("thinking goes on", S1)) == [0.5]  # the prompt wrote the opening


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<think>a</think>b", 1.0),
        ("<think>\na\nb\n</think>\nc", 1.0),
        ("a\n</think>\nb", 1.0),  # the prompt prefilled the opening: TRL's own would give 0
        ("<think>\na", 0.0),
        ("so <think>a</think>b", 0.0),
        ("<think>a<think>b</think></think>c", 0.0),
        ("<think>a</think>b</think>c", 0.0),
    ],
)
def test_think_format_needs_one_block_at_start(text: str, score: float) -> None:
    assert scores("think_format", rollout(text, DEEPSEEK)) == [score]


@pytest.mark.parametrize("think_format", FORMATS, ids=lambda f: f.name)
def test_think_format_knows_every_format(think_format: ThinkFormat) -> None:
    assert scores("think_format", answered("42", think_format), rollout("no thinking", XML)) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("thinking", "score"),
    [
        ("Step 1: a\nStep 2: b\nStep 3: c", 1.0),
        ("First, a.\nSecond, b.\nFinally, c.", 1.0),
        ("首先算左边，然后算右边。", 2 / 3),
        ("1. a", 1 / 3),
        ("- a\n- b\n- c\n- d", 1.0),
        ("plain text", 0.0),
    ],
)
def test_reasoning_steps_count_up_to_three(thinking: str, score: float) -> None:
    assert scores("reasoning_steps", rollout(XML.render(thinking, "1"))) == pytest.approx([score])


def test_blank_lines_between_steps_do_not_hang() -> None:
    thinking = "1. a" + "\n" * 200_000 + "2. b\n\n- c"
    assert scores("reasoning_steps", rollout(XML.render(thinking, "1"))) == [1.0]


def test_steps_in_answer_earn_nothing() -> None:
    assert scores("reasoning_steps", rollout(XML.render("a", "1. b\n2. c\n3. d"))) == [0.0]


def test_length_prefers_short_right_answers() -> None:
    group = [
        answered(answer, completion_tokens=n)
        for answer, n in [("42", 10), ("42", 30), ("1", 10), ("1", 30), ("42", 20)]
    ]
    assert scores("length", *group) == [0.5, -0.5, 0.0, -0.5, 0.0]


def test_length_compares_within_a_problem() -> None:
    other = replace(answered("42", completion_tokens=500), problem=Problem("q", "Else?", "42", "test"))
    assert scores("length", answered("42", completion_tokens=10), other, answered("42", completion_tokens=10)) == [
        0,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("answer", "tokens", "score"),
    [
        ("42", 0, 1.0),
        ("42", 50, 0.75),
        ("42", 100, 0.5),
        ("42", 300, 0.5),
        ("1", 0, -1.0),
        ("1", 50, -0.75),
        ("1", 200, -0.5),
    ],
)
def test_cosine_scales_with_length(answer: str, tokens: int, score: float) -> None:
    assert scores("cosine", answered(answer, completion_tokens=tokens), max_len=100) == pytest.approx([score])
    assert scores("cosine", answered(answer, completion_tokens=tokens, max_tokens=100)) == pytest.approx([score])


@pytest.mark.parametrize("tokens", [0, 17, 50, 100, 300])
def test_cosine_matches_trl(tokens: int) -> None:
    from trl.rewards import get_cosine_scaled_reward

    asked = [answered(answer, completion_tokens=tokens) for answer in ("42", "41")]
    messages = [[{"role": "assistant", "content": f"\\boxed{{{answer}}}"}] for answer in ("42", "41")]
    theirs = get_cosine_scaled_reward(100)(messages, ["$42$"] * 2, completion_ids=[[1] * tokens] * 2)
    assert scores("cosine", *asked, max_len=100) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("text", "params", "score"),
    [
        ("this is a test sentence", {"ngram_size": 2}, 0.0),
        ("this this this this this", {"ngram_size": 2}, -0.75),
        ("This is a this IS a test", {"ngram_size": 2}, -1 / 3),
        ("word word word word", {"ngram_size": 3, "max_penalty": -0.5}, -0.25),
        ("two words", {"ngram_size": 3}, 0.0),
        ("", {"ngram_size": 2}, 0.0),
        ("我们计算我们计算我们计算", {"ngram_size": 2}, -0.6),
    ],
)
def test_repetition_penalises_ngrams(text: str, params: dict[str, Any], score: float) -> None:
    assert scores("repetition", rollout(text), **params) == pytest.approx([score])


@pytest.mark.parametrize(("tokens", "score"), [(50, 0.0), (80, 0.0), (90, -0.5), (100, -1.0), (110, -1.0)])
def test_soft_overlong_penalises_long_text(tokens: int, score: float) -> None:
    asked = [rollout("a", completion_tokens=tokens, max_tokens=100)]
    assert scores("soft_overlong", *asked, soft_punish_cache=20) == [score]
    assert scores("soft_overlong", *asked, soft_punish_cache=20, max_completion_len=1000) == [0.0]


@pytest.mark.parametrize(
    ("tokens", "score"), [(100, 0.0), (110, 0.0), (90, 0.0), (150, -0.4), (50, -0.4), (0, -0.9), (900, -1.0)]
)
def test_budget_penalises_distance_from_target(tokens: int, score: float) -> None:
    assert scores("budget", rollout("a", thinking_tokens=tokens), target=100) == pytest.approx([score])


def thought(answer: str, tokens: int, limit: int | None = 100) -> Rollout:
    return answered(answer, thinking_tokens=tokens, max_thinking=limit)


@pytest.mark.parametrize(
    ("answer", "tokens", "score"),
    [("42", 100, 1.0), ("42", 60, 0.6), ("42", 130, 0.7), ("1", 100, 0.0), ("1", 0, -1.0)],
)
def test_exact_length_costs_both_ways(answer: str, tokens: int, score: float) -> None:
    assert scores("exact_length", thought(answer, tokens), alpha=0.01) == pytest.approx([score])
    assert scores("exact_length", thought(answer, tokens, None), alpha=0.01, target=100) == pytest.approx([score])


@pytest.mark.parametrize(
    ("answer", "tokens", "score"),
    [("42", 100, 0.5), ("42", 80, 0.7), ("42", 0, 1.0), ("42", 120, 0.3), ("42", 900, 0.0), ("1", 0, 0.0)],
)
def test_at_most_length_pays_for_what_is_spared(answer: str, tokens: int, score: float) -> None:
    assert scores("at_most_length", thought(answer, tokens), alpha=0.01) == pytest.approx([score])
    assert scores("at_most_length", thought(answer, tokens, 8), alpha=0.01, target=100) == pytest.approx([score])


def test_lcpo_defaults_are_the_papers() -> None:
    assert scores("exact_length", thought("42", 1000, 2000)) == pytest.approx([0.7])
    assert scores("at_most_length", thought("42", 1000, 2000)) == pytest.approx([0.8])


def test_adaptive_length_spares_hard_problems() -> None:
    easy = [thought("42", 10), thought("42", 20), thought("42", 30), thought("1", 40)]
    assert scores("adaptive_length", *easy, beta=0.01) == pytest.approx([-0.075, -0.15, -0.225, -0.3])
    hard = [thought("1", 10), thought("1", 20), thought("1", 30), thought("1", 40)]
    assert scores("adaptive_length", *hard, beta=0.01) == pytest.approx([-0.025, -0.05, -0.075, -0.1])
    unknown = thought("9^{9^{9^9}}", 10)
    assert scores("adaptive_length", unknown, thought("42", 10), beta=0.01) == [None, pytest.approx(-0.1)]


def test_pass_rate_is_of_a_problem_under_one_budget() -> None:
    other = replace(thought("1", 10), problem=Problem("q", "Else?", "42", "test"))
    group = [thought("42", 10), thought("1", 10, 50), thought("1", 10, 50), other]
    assert scores("adaptive_length", *group, beta=0.01) == pytest.approx([-0.1, -0.05, -0.05, -0.1])


@pytest.mark.parametrize("name", ["exact_length", "at_most_length"])
def test_completion_without_limit_needs_a_target(name: str) -> None:
    with pytest.raises(RewardError, match=rf"'{name}' needs `target`: problem p was answered without a max_thinking"):
        scores(name, thought("42", 10, None))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("exact_length", {"alpha": 0.0}, "alpha 0.0 is not above 0"),
        ("exact_length", {"target": 0}, "target 0 is below 1"),
        ("at_most_length", {"delta": 2.0}, "delta 2.0 is not between 0 and 1"),
        ("adaptive_length", {"beta": -1.0}, "beta -1.0 is not above 0"),
        ("adaptive_length", {}, "needs the parameter 'beta'"),
    ],
)
def test_wrong_length_parameter_is_named(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(RewardError, match=message):
        build_rewards([RewardSpec(name=name, params=params)])


def test_exact_ignores_white_space_only() -> None:
    assert scores("exact", answered(" 42 "), answered("42.0"), rollout("42")) == [1.0, 0.0, 0.0]


def test_an_answer_may_be_any_reference() -> None:
    def of(answer: str, *golds: str) -> Rollout:
        problem = Problem("p", "?", golds[0], "test", references=golds)
        return Rollout(problem, XML.render("so", answer), XML)

    assert scores("exact", of("b", "a", "b"), of("c", "a", "b")) == [1.0, 0.0]
    assert scores("correctness", of("2", "1", "2"), of("3", "1", "2")) == [2.0, 0.0]
    assert scores("correctness", of("1, 2, 9", "7, 8, 9", "1, 2, 3"), score=1.0, partial=0.5) == [
        pytest.approx(0.5 * 2 / 3)
    ]
    assert scores("correctness", of("2^{10}", "1024", "2^{10}"), unevaluated=0.0) == [2.0]


def test_missing_limit_names_the_parameter() -> None:
    with pytest.raises(RewardError, match=r"'cosine' needs `max_len`"):
        scores("cosine", answered("42"))
    with pytest.raises(RewardError, match=r"'soft_overlong' needs `max_completion_len`"):
        scores("soft_overlong", answered("42"))


RANGES = {
    "correctness": (0, 2),
    "integer": (0, 0.5),
    "strict_format": (0, 0.5),
    "soft_format": (0, 0.5),
    "xmlcount": (-math.inf, 0.5),
    "tag_count": (0, 1),
    "think_format": (0, 1),
    "reasoning_steps": (0, 1),
    "length": (-0.5, 0.5),
    "cosine": (-1, 1),
    "repetition": (-1, 0),
    "soft_overlong": (-1, 0),
    "budget": (-1, 0),
    "exact_length": (-math.inf, 1),
    "at_most_length": (0, 1),
    "adaptive_length": (-math.inf, 0),
    "exact": (0, 1),
    "grade": (0, 1),
}
PIECES = [
    "<reasoning>",
    "</reasoning>",
    "<answer>",
    "</answer>",
    "\\boxed{",
    "}",
    "42",
    "Step 1: ",
    "我们",
    "a b a b ",
    "\n",
]


@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=3), st.integers(0, 300)
)
def test_every_reward_stays_in_range(texts: list[str], tokens: int) -> None:
    assert set(RANGES) == set(SHIPPED)
    rewards = build_rewards([RewardSpec(name=name, params=NEEDED.get(name, {})) for name in SHIPPED])
    facts: dict[str, Any] = {
        "completion_tokens": tokens,
        "thinking_tokens": tokens // 2,
        "max_tokens": 100,
        "max_thinking": 64,
    }
    for name, column in rewards.score([rollout(text, **facts) for text in texts]).items():
        low, high = RANGES[name]
        assert all(score is None or low <= score <= high for score in column)


def test_building_rewards_imports_no_torch() -> None:
    import subprocess

    script = (
        "import sys; from configs.schema.sections import RewardSpec\n"
        "from rewards.registry import SHIPPED, build_rewards\n"
        f"build_rewards([RewardSpec(name=n, params={NEEDED!r}.get(n, {{}})) for n in SHIPPED])\n"
        "print([m for m in ('torch', 'trl', 'sympy', 'math_verify', 'transformers', 'jieba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
