"""Genomes write completions for every kind of problem, and none of them is right."""

import random

import pytest

from data.think_format import DEEPSEEK, NONE, S1, THINK_FORMATS, XML, ThinkFormat
from rewards.attack.extras import EXTRAS
from rewards.attack.genome import PARTS, Genome, catalogue, crossed, estimated_tokens, mutated
from rewards.attack.measure import credits
from rewards.attack.scene import Scene, scenes_of
from rewards.grading.grade import grade
from tests.rewards.attack.conftest import problems_of

KINDS = ("math", "choice", "text", "terms", "json")


def scenes(kind: str, form: ThinkFormat = S1, room: int = 256) -> list[Scene]:
    return scenes_of(problems_of(kind), form, room, 6, random.Random(0))


@pytest.mark.parametrize("form", THINK_FORMATS.values(), ids=list(THINK_FORMATS))
@pytest.mark.parametrize("kind", KINDS)
def test_known_hacks_are_never_right(kind: str, form: ThinkFormat) -> None:
    found = scenes(kind, form)
    written = [(scene, genome.write(scene), genome.name) for genome in catalogue() for scene in found]
    pairs = [(scene, done, name) for scene, done, name in written if done is not None]
    worth = credits([(scene, done) for scene, done, _ in pairs])
    wrong = [pair for pair, credit in zip(pairs, worth, strict=True) if credit is not None]
    assert len(wrong) > 300
    verdicts = grade([scene.problem for scene, *_ in wrong], [done.text for _, done, _ in wrong], form)
    taken = [(name, done.text) for (_, done, name), verdict in zip(wrong, verdicts, strict=True) if verdict.is_right]
    assert {name for name, _ in taken} == ({"unevaluated"} if kind == "math" else set()), taken


def test_plain_genome_is_the_honest_wrong_answer() -> None:
    [first, *_] = scenes("math")
    done = Genome().write(first)
    assert done is not None
    assert done.commits == first.wrong
    assert S1.split(done.text).answer == first.wrong


def test_wrong_number_is_far_from_gold() -> None:
    assert all(abs(float(scene.gold) - float(scene.wrong)) > 3 for scene in scenes("math"))


def test_wrong_letter_is_another_option() -> None:
    for scene in scenes("choice"):
        assert scene.wrong in scene.options
        assert scene.wrong != scene.gold


def test_completion_stays_within_its_limit() -> None:
    for genome in catalogue():
        done = genome.write(scenes("math", XML, room=48)[0])
        assert done is None or (done.tokens <= 48 and (done.is_cut or estimated_tokens(done.text) == done.tokens))


def test_cut_answer_commits_to_what_is_left() -> None:
    [first, *_] = scenes("math", DEEPSEEK, room=17)
    done = Genome(answer="gold_then_wrong", thinking="no_thinking").write(first)
    assert done is not None
    assert done.is_cut
    assert done.commits == first.gold
    assert credits([(first, done)]) == [None]


def test_thinking_hacks_need_thinking() -> None:
    [first, *_] = scenes("text", NONE)
    assert Genome(extra="steps", place="thinking").write(first) is None


def test_name_tells_what_is_not_honest() -> None:
    assert Genome().name == "honest"
    named = Genome(answer="empty", extra="sure", place="end", times=0)
    assert named.name == "empty + sure to the limit at the end"
    assert named.without("extra") == Genome(answer="empty")


def test_children_are_made_of_known_parts() -> None:
    generator = random.Random(1)
    parents = (Genome(answer="empty"), Genome(extra="sure", place="end", times=0))
    for _ in range(50):
        for child in (mutated(parents[0], generator), crossed(*parents, generator)):
            assert all(getattr(child, part) in names for part, names in PARTS.items())


def test_fillers_hold_no_number() -> None:
    [first, *_] = scenes("math")
    for name in ("padding", "steps", "lines", "sure", "reasons", "checks"):
        assert not any(character.isdigit() for character in EXTRAS[name](first, 3))
