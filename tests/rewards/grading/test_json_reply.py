"""The answer inside a JSON reply."""

import pytest

from rewards.grading.json_reply import json_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": "8"}', "8"),
        ('{"answer": 8.50}', "8.50"),
        ('{"answer": [1, 2]}', "1, 2"),
        ('{"answer": null}', ""),
        ('{"answer": "\\frac{1}{2}"}', "\\frac{1}{2}"),
        ('{"answer": "\\\\frac{1}{2}"}', "\\\\frac{1}{2}"),
        ('Sure:\n```json\n{"steps": ["a"], "final_answer": 8}\n```', "8"),
        ("{'answer': 8}", "8"),
    ],
)
def test_answer_key_is_read(text: str, answer: str) -> None:
    assert (json_answer(text) or "").replace("\\\\", "\\") == answer.replace("\\\\", "\\")
    assert json_answer(text) is not None


@pytest.mark.parametrize(
    "text", ["", "8", "{8}", '{"value": 8}', '{"answer": 8', "\\{1,2\\}", "{" * 5_000 + '"answer": 1}']
)
def test_other_text_is_no_json_reply(text: str) -> None:
    assert json_answer(text) is None
