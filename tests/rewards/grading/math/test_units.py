"""Units behind a value: what is asked before the pattern is searched never hides a unit that the pattern finds."""

import random

from rewards.grading.math.units import _TRAILING, _may_end_in_unit

PIECES = (
    *(
        "\\text{cm}",
        "\\text{",
        "{",
        "}",
        "^2",
        "^{3}",
        "^",
        " cm",
        "m",
        "m.",
        "°",
        "°C",
        "′",
        "%",
        "$",
        "€",
        "元",
        "/",
        "/hour",
    ),
    *("12", "3", "²", "٣", "x", "(", ")", "[", "]", "|", " ", "\n", "-", "+", "\\sqrt{2}", "\\pi"),
)


def test_no_unit_is_missed_for_its_last_character() -> None:
    chance, found = random.Random(0), 0
    for _ in range(5_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 6)))
        if _TRAILING.search(text):
            found += 1
            assert _may_end_in_unit(text), text
    assert found > 1_000
