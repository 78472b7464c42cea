"""The browser of samples: what of a large run is kept, how completions are cut, and what its data holds."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.run_directory import write_jsonl
from configs.sample import Sample
from report.before_after import held_out_samples
from report.samples import LONGEST_TEXT, Samples, ShownSample, Span, cut, payload, spread


def sample(id: str = "p1", group: str = "step 1", text: str = "x", **more: Any) -> ShownSample:
    return ShownSample(id=id, group=group, question="What is $x^2$?", spans=[Span("text", text)], **more)


def embedded(section: Samples) -> dict[str, Any]:
    """The data as the page's script reads it."""

    class Data(HTMLParser):
        inside = False
        text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.inside = dict(attrs).get("id") == "samples-data"

        def handle_endtag(self, tag: str) -> None:
            self.inside = False

        def handle_data(self, data: str) -> None:
            self.text += data if self.inside else ""

    parser = Data()
    parser.feed(section.html())
    return dict(json.loads(parser.text))


@given(st.text())
def test_any_text_round_trips_through_the_page(text: str) -> None:
    [row] = embedded(Samples([sample(text=text)], "rollouts.jsonl"))["samples"]
    pieces = [piece[0] for _, pieces in row["spans"] for piece in pieces]
    assert "".join(pieces) == text


@pytest.mark.parametrize("text", ["</script><b>", "<!-- <script>", "\u2028", "]]>"])
def test_no_text_ends_the_script(text: str) -> None:
    html = Samples([sample(text=text, id=text, reason=text)], "rollouts.jsonl").html()
    assert html.count("</script>") == 1
    assert "<!--" not in html


def test_lone_surrogates_are_replaced() -> None:
    Samples([sample(text="a\ud800b")], "rollouts.jsonl").html().encode("utf-8")


def test_nan_and_infinite_scores_are_json() -> None:
    rows = payload([sample(scores={"a": float("nan"), "b": None, "c": 0.5})], "step", "rollouts.jsonl")["samples"]
    assert rows[0]["scores"] == {"a": "nan", "b": None, "c": 0.5}


def test_repeated_formulas_are_drawn_once() -> None:
    data = payload([sample(), sample(id="p2"), sample(id="p3")], "step", "rollouts.jsonl")
    assert len(data["math"]) == 1
    assert data["samples"][2]["question"][1] == ["$x^2$", 0]


@pytest.mark.parametrize("together", [True, False])
def test_large_run_keeps_whole_groups_evenly(together: bool) -> None:
    samples = [sample(id=f"p{p}", group=f"step {s}") for s in range(50) for p in range(4) for _ in range(8)]
    if not together:  # as evaluations write them, when each is done
        samples = samples[::8] + [s for at, s in enumerate(samples) if at % 8]
    kept = spread(samples, most=400)
    assert 300 <= len(kept) <= 400
    groups: dict[tuple[str, str], int] = {}
    for one in kept:
        groups[one.group, one.id] = groups.get((one.group, one.id), 0) + 1
    assert set(groups.values()) == {8}
    steps = sorted(int(re.sub(r"\D", "", group)) for group, _ in groups)
    assert steps[0] <= 2
    assert steps[-1] >= 47


def test_character_limit_drops_samples() -> None:
    samples = [sample(id=f"p{i}", text="x" * 1_000) for i in range(100)]
    kept = spread(samples, characters=20_000)
    assert 15 <= len(kept) <= 20


def test_at_least_one_group_is_kept() -> None:
    assert len(spread([sample(text="x" * 1_000)] * 5, characters=10)) == 5


def test_page_says_what_it_leaves_out() -> None:
    samples = [sample(id=f"p{i}") for i in range(30)]
    assert "10 of 30 samples" in Samples(samples, "samples.jsonl", most=10).html()
    assert "all of them are in samples.jsonl" in Samples(samples, "samples.jsonl", most=10).html()
    assert "All 30 samples" in Samples(samples, "samples.jsonl").html()
    [row] = payload([sample(text="y" * (LONGEST_TEXT + 7))], "step", "samples.jsonl")["samples"]
    assert "7 more characters in samples.jsonl" in row["spans"][0][1][0][0]


def test_spans_tell_prompt_model_and_budget_apart() -> None:
    text = "PRE think Wait more END answer"
    at = text.index
    spans = cut(text, [(at("Wait"), at(" more")), (at("END"), at(" answer"))], prefilled=3, answer_at=at(" answer"))
    assert [(s.kind, s.text) for s in spans] == [
        ("prefill", "PRE"),
        ("thinking", " think "),
        ("forced", "Wait"),
        ("thinking", " more "),
        ("forced", "END"),
        ("answer", " answer"),
    ]


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))), st.integers(0, 30))
def test_joined_spans_are_the_text(text: str, forced: list[tuple[int, int]], prefilled: int) -> None:
    assert "".join(span.text for span in cut(text, forced, prefilled)) == text


def test_missing_samples_are_reported() -> None:
    assert "No samples" in Samples([], "samples.jsonl").html()


def test_every_reference_is_shown() -> None:
    data = embedded(Samples([sample(golds=["4", "$2^2$"]), sample()], "samples.jsonl"))
    assert [[piece[0] for pieces in row["golds"] for piece in pieces] for row in data["samples"]] == [
        ["4", "$2^2$"],
        [],
    ]


def test_held_out_replies_are_cut_alike(tmp_path: Path) -> None:
    one = Sample(id="p1", point="greedy", question="?", gold="4", text="<think>2+2</think>It is 4", answer="It is 4")
    for name in ("heldout_before.jsonl", "heldout_after.jsonl"):
        write_jsonl(tmp_path / name, [one.to_row()])
    comparison = {"names": ["before", "after"], "samples": "heldout_before.jsonl", "points": [{"label": "greedy"}]}
    [shown] = held_out_samples(tmp_path, comparison).samples
    assert [span.kind for span in shown.spans] == ["thinking", "answer"]
    assert shown.other is not None
    assert shown.other.spans == shown.spans
