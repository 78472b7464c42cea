"""`did_you_mean`: the known name that is nearest to an unknown one."""

from configs.suggestion import did_you_mean


def test_a_near_name_is_suggested() -> None:
    assert did_you_mean("corectness", ["format", "correctness"], "none") == "did you mean 'correctness'?"


def test_capitals_make_no_distance() -> None:
    assert did_you_mean("BLEU", ["rougeL", "bleu"], "none") == "did you mean 'bleu'?"
    assert did_you_mean("ROUGE-L", ["rougeL", "bleu"], "none") == "did you mean 'rougeL'?"


def test_a_suggestion_has_its_prefix() -> None:
    assert did_you_mean("chese", ["chess"], "none", prefix="gym:") == "did you mean 'gym:chess'?"


def test_without_a_near_name_the_caller_speaks() -> None:
    assert did_you_mean("xyz", ["format"], "known: format") == "known: format"
