"""Scores of completions as a person reads them: one table a completion, with the reason for each score."""

from collections.abc import Iterable, Sequence

from configs.schema.grpo import GrpoConfig
from data.think_format import THINK_FORMATS, ThinkFormat, resolve_think_format
from rewards.composition import Member, RewardSet, Scores, statistics
from rewards.explain import why
from rewards.registry import build_rewards
from rewards.rollout import Rollout
from rewards.rollout_file import known_problems, read_rollouts
from rewards.shipped.correctness import is_correct


def print_scores(config: GrpoConfig, path: str) -> None:
    """One table for each completion of the file `path` (`-`: stdin), and one over all. Raises a `MullError`."""
    reward_set = build_rewards(config.rewards)
    think_format = resolve_think_format(config.think_format)
    rollouts = read_rollouts(path, think_format, config.completion_length, known_problems(config.data))
    raw = reward_set.raw(rollouts)
    scores = reward_set.shaped(raw)
    for line in table(reward_set, rollouts, raw, scores):
        print(line)
    print(f"\n{'reward':<18}{'mean':>9}{'spread':>9}{'None':>8}  correlation with correctness")
    for name, column in statistics(scores, is_correct(rollouts)).items():
        shown = [_number(value) for value in (column.mean, column.std)]
        print(f"{name:<18}{shown[0]:>9}{shown[1]:>9}{column.none_share:>8.1%}  {_number(column.correlation)}")
    if hint := format_hint(rollouts, think_format):
        print(f"\n{hint}")


def format_hint(rollouts: Sequence[Rollout], think_format: ThinkFormat) -> str | None:
    """A line on the think format that most completions are written in, where few are in the recipe's; else None."""

    def written_in(other: ThinkFormat) -> int:
        return sum(other.open in rollout.text or other.end.strip() in rollout.text for rollout in rollouts)

    best = max((other for other in THINK_FORMATS.values() if other.has_thinking), key=written_in)
    seen, own = written_in(best), written_in(think_format) if think_format.has_thinking else 0
    if 2 * seen <= len(rollouts) or 4 * own > len(rollouts):
        return None
    return (
        f"{seen} of {len(rollouts)} completions look like {best.name}, {own} like the recipe's {think_format.name}; "
        f"to score them as such: think_format={best.name}"
    )


def table(reward_set: RewardSet, rollouts: Sequence[Rollout], raw: Scores, scores: Scores) -> Iterable[str]:
    """The lines to print: a head for each completion, then each reward's score, weighted score, and reason."""
    for row, (rollout, total) in enumerate(zip(rollouts, reward_set.totals(scores), strict=True)):
        yield f"\n{rollout.problem.id}: total {_number(total)}"
        for member in reward_set.members:
            score = scores[member.name][row]
            weighted = None if score is None else score * member.weight
            why = reason(reward_set, member, rollout, raw, scores, row)
            yield f"  {member.name:<18}{_number(score):>9}{_number(weighted):>9}  {why}"


def reason(reward_set: RewardSet, member: Member, rollout: Rollout, raw: Scores, scores: Scores, row: int) -> str:
    """Why one reward gave one score, what gates, clip and `required` made of it included."""
    parts = [why(member.name, rollout)]
    own, shown = raw[member.name][row], scores[member.name][row]
    missing = [other.name for other in reward_set.members if other.required and raw[other.name][row] is None]
    if missing:
        parts.append(f"required {missing[0]} could not be judged")
    elif member.gate and not member.gate.admits(raw[member.gate.reward][row]):
        gate = member.gate
        parts.append(f"gate not met: {gate.reward} {gate.comparison} {gate.value:g}")
    elif own != shown:
        parts.append(f"clipped from {_number(own)}")
    return "; ".join(part for part in parts if part)


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.3f}"
