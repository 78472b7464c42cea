"""Rewards for the form: `strict_format`, `soft_format`, `think_format`, `xmlcount`, `tag_count`."""

import re
from collections.abc import Sequence
from functools import lru_cache

from data.think_format import DEEPSEEK, ThinkFormat, delimiters, without_end_of_turn
from data.turn_reader import without_any_end_of_turn
from rewards.grading.extract import format_fault, is_well_formed, written_once
from rewards.rollout import Reward, Rollout


def strict_format(*, score: float = 0.5) -> Reward:
    """`strict_format`: whether the completion is written as the format renders it.

    Line breaks count. `score` for a well-formed completion (`rewards.grading.extract`) whose line breaks are the
    format's own too.

    Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5. Its public pattern lacks DOTALL and so never
    matches reasoning that spans lines; this one does. White space after the last delimiter is free.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score if has_format(rollout.text, rollout.think_format) else 0.0 for rollout in rollouts]

    return reward


def has_format(text: str, think_format: ThinkFormat) -> bool:
    """Whether `text` is well-formed and has the format's own line breaks."""
    return is_well_formed(text, think_format) and bool(_pattern(think_format).fullmatch(without_end_of_turn(text)))


@lru_cache(maxsize=16)
def _pattern(think_format: ThinkFormat) -> re.Pattern[str]:
    """What `ThinkFormat.render` writes, with anything for the two parts; the prefilled opening may be missing."""
    rendered = think_format.render("\x00", "\x00").rstrip()
    opening, between, closing = rendered.split("\x00")
    head = f"(?:{re.escape(opening)})?" if think_format.prefill else re.escape(opening)
    return re.compile(rf"{head}(?!\s).+{re.escape(between)}(?!\s).+{re.escape(closing)}\s*", re.DOTALL)


def soft_format(*, score: float = 0.5) -> Reward:
    """`soft_format`: whether both parts are there in order, each delimiter once.

    White space is free. `score` for a completion that is well-formed (`rewards.grading.extract`) up to its last
    delimiter.

    Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5. As there, text after the last delimiter is
    free (`xmlcount` charges for it); unlike there, a second answer block, a nested tag or an empty part earns nothing.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score if rollout_fault(rollout) is None else 0.0 for rollout in rollouts]

    return reward


def rollout_fault(rollout: Rollout) -> str | None:
    """What is wrong up to the last delimiter, for a person to read; None when nothing is."""
    closing = rollout.think_format.answer_close
    if closing and rollout.text.count(closing) == 1 and not _reopened(rollout):
        return format_fault(rollout.text.split(closing)[0] + closing, rollout.think_format)
    return format_fault(rollout.text, rollout.think_format)


def _reopened(rollout: Rollout) -> bool:
    """Whether the text after the last delimiter opens a part again."""
    tail = rollout.text.split(rollout.think_format.answer_close)[1]
    return rollout.think_format.open in tail or rollout.think_format.answer_open in tail


def think_format(*, score: float = 1.0) -> Reward:
    """`think_format`: whether the thinking is opened at the start and closed, once.

    What follows is free. `score` for thinking that is opened and closed.

    Range: {0, score}. Source: `trl.rewards.think_format_reward` (TRL 1.14.2), which knows `<think>` alone and sees no
    prefilled opening (it is 0 for ever with templates that prefill it): here the text carries the prefilled part, and
    other formats are handed over in its spelling. TRL lets a second closing pass; this does not.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        from trl.rewards import think_format_reward  # light, but of no use to `--help`

        texts = [_translated(rollout.text, rollout.think_format) for rollout in rollouts]
        matches = think_format_reward([[{"content": text}] for text in texts])
        return [score * match for match in matches]

    return reward


def _translated(text: str, fmt: ThinkFormat) -> str:
    """`text` with the format's own delimiters of thinking written as TRL knows them; "" when one is there twice."""
    opening, closing = delimiters(fmt)[:2]
    if fmt.prefill and opening not in text:
        text = fmt.prefill + text
    if text.count(opening) > 1 or text.count(closing) > 1:
        return ""
    spelled = text.lstrip().replace(opening, DEEPSEEK.open).replace(closing, DEEPSEEK.end.strip())
    return without_any_end_of_turn(spelled)


def xmlcount(*, per_tag: float = 0.125, per_character: float = 0.001) -> Reward:
    """`xmlcount`: a little for each delimiter that is there once, less for a tail.

    `per_tag` for each delimiter that occurs once, less `per_character` for each after the format's last one.

    Range: (-inf, 4 · per_tag], 0.5 at most by default; clip it in the recipe to bound it below. Source: the GSM8K GRPO
    demo (W. Brown, 2025): 0.125 a tag, less 0.001 per character after the last one (the demo takes it off twice). As
    with `tag_count`, a delimiter that the prompt prefills counts as written.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [_count(rollout.text, rollout.think_format, per_tag, per_character) for rollout in rollouts]

    return reward


def _count(text: str, think_format: ThinkFormat, per_tag: float, per_character: float) -> float:
    score = per_tag * sum(written_once(text, think_format))
    if think_format.answer_close and think_format.answer_close in text:
        trailing = without_end_of_turn(text.rsplit(think_format.answer_close, 1)[1])
        score -= per_character * len(trailing.strip())
    return score


def tag_count(*, score: float = 1.0) -> Reward:
    """`tag_count`: the share of the format's delimiters that occur exactly once.

    `score` shared equally among the delimiters.

    Range: [0, score]. Source: open-r1's `tag_count_reward` (0.25 for each of four tags), for any think format: a
    delimiter that the prompt prefills counts as written.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [score * _share(rollout) for rollout in rollouts]

    return reward


def _share(rollout: Rollout) -> float:
    once = written_once(rollout.text, rollout.think_format)
    return sum(once) / len(once)
