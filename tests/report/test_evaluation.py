"""What an evaluation's report draws."""

from typing import Any

from report.evaluation import curves_of, names_of


def point(limit: int | None, mean: float | None) -> dict[str, Any]:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    tokens = None if mean is None else {"mean": mean}
    return {
        "label": str(limit),
        "budget": {"max_thinking": limit},
        "accuracy": interval,
        "thinking_tokens": tokens,
    }


def test_texts_in_names_are_quoted() -> None:
    points = [{"label": text, "budget": {"final_answer_text": text}} for text in ("", "So ")]
    assert names_of(points) == {"": 'final_answer_text=""', "So ": 'final_answer_text="So "'}


def test_model_that_answers_at_once_has_no_curve() -> None:
    assert curves_of([point(None, 0.0)]) == {}
    assert curves_of([point(None, None)]) == {}
    [line] = curves_of([point(0, 0.0), point(64, 40.0)]).values()
    assert [spot.tokens for spot in line] == [0.0, 40.0]
