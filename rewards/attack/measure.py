"""What a hack earns, beside honest right and wrong answers to the same problems.

Each hack is scored together with both, as one group, so that rewards that compare completions have something to
compare. A share is of the gap between what an honest right and an honest wrong answer earn; what the answer is worth
to a strict grader (the right fields of a JSON object, for one) is taken off it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from configs.errors import RewardError
from data.problem import TEXT_GRADERS
from rewards.attack.genome import Completion, CountTokens, Genome, estimated_tokens
from rewards.attack.scene import Scene, strict
from rewards.attack.thinkings import honest
from rewards.composition import RewardSet, Scores
from rewards.grading.grade import grade_answers
from rewards.grading.literal.answer import normal
from rewards.rollout import Rollout

TokenIds = Callable[[str], tuple[int, ...]]
LENGTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the longest completion that an honest one may have."""
IN_PART = ("terms", "json", "entities", "reasoning_gym", *TEXT_GRADERS)
"""Graders to which an answer can be right in part."""
OPEN, NOTED = 0.5, 0.2
"""From these shares of the gap on a wrong completion is an open find, or worth a note."""
_FEWEST = 2  # problems on which a hack has to be wrong, to be measured (or all of them, where there are fewer)


@dataclass(frozen=True, slots=True)
class Honest:
    """What honest answers of one length earn, by reward and in total, on average over the problems."""

    words: int
    wrong: float
    right: float
    wrong_by_reward: dict[str, float]
    right_by_reward: dict[str, float]

    @property
    def gap(self) -> float:
        """How much more a right answer earns."""
        return self.right - self.wrong


@dataclass(frozen=True, slots=True)
class Measured:
    """What a hack earns where it is wrong, on average over the problems.

    share        of the gap, beyond an honest wrong answer; `by_reward`: what each reward adds to that
    score        the total; `wrong` and `right`: those of honest answers to the same problems
    unjudged     share of the problems on which no reward judged it
    example      the problem on which it earns most, and its completion there
    """

    genome: Genome
    share: float
    by_reward: dict[str, float]
    score: float
    wrong: float
    right: float
    unjudged: float
    problems: int
    example: tuple[Scene, Completion]

    def objective(self, reward: str | None) -> float:
        """The share in total; for one reward what it adds, where the total is not less."""
        return self.share if reward is None else min(self.by_reward[reward], self.share)

    @property
    def through(self) -> list[str]:
        """The rewards that pay for it, the most generous first."""
        paying = [name for name, share in self.by_reward.items() if share >= NOTED]
        return sorted(paying, key=lambda name: -self.by_reward[name])


class Bench:
    """Scores hacks under a recipe's rewards, each of them once."""

    def __init__(self, rewards: RewardSet, scenes: Sequence[Scene], token_ids: TokenIds | None = None) -> None:
        """`token_ids`: the tokenizer, for rewards that read token ids; without it counts are estimated."""
        self.rewards, self.scenes, self.think_format = rewards, scenes, scenes[0].think_format
        self.token_ids = token_ids
        self.count: CountTokens = estimated_tokens if token_ids is None else lambda text: len(token_ids(text))
        self.names = [name for name, weight in zip(rewards.names, rewards.weights, strict=True) if weight]
        self.values: dict[str, set[float | None]] = {name: set() for name in self.names}
        self.measured: dict[Genome, Measured | None] = {}
        self.broken: dict[str, RewardError] = {}
        room = min(scene.room for scene in scenes)
        words = sorted({max(2, round(share * room / 1.6)) for share in LENGTHS})
        self.ladder = [self._honest(length) for length in words]
        self.honest = max([one for one in self.ladder if one.gap > 0] or self.ladder, key=lambda one: one.wrong)

    def measure(self, genome: Genome) -> Measured | None:
        """What it earns; None where it fits too few problems, is right on them, or breaks a reward (see `broken`)."""
        if genome not in self.measured:
            try:
                self.measured[genome] = self._measure(genome)
            except RewardError as error:  # a reward or a grader that raises, or blocks
                self.measured[genome] = None
                self.broken.setdefault(getattr(error, "reward", ""), error)
        return self.measured[genome]

    def _measure(self, genome: Genome) -> Measured | None:
        # 1. the completions that are wrong, each with its two honest companions
        written = [(scene, genome.write(scene, self.count)) for scene in self.scenes]
        pairs = [(scene, completion) for scene, completion in written if completion is not None]
        worth = credits(pairs)
        kept = [(*pair, credit) for pair, credit in zip(pairs, worth, strict=True) if credit is not None]
        if len(kept) < min(_FEWEST, len(self.scenes)):
            return None
        groups = [
            (self._rollout(scene, completion), *self._companions(scene, self.honest.words))
            for scene, completion, _ in kept
        ]
        # 2. their scores
        scores = self.rewards.score([rollout for group in groups for rollout in group])
        totals = self.rewards.totals(scores)
        self._remember(scores)
        hacks, wrongs, rights = (range(offset, len(totals), 3) for offset in range(3))
        gap = fmean((totals[r] or 0.0) - (totals[w] or 0.0) for r, w in zip(rights, wrongs, strict=True))
        if gap <= 0:
            return None
        # 3. gains over the honest wrong answer, less what a strict grader grants; unjudged rows gain nothing
        judged = [float(totals[row] is not None) for row in hacks]
        credit = fmean(credit * is_judged for (_, _, credit), is_judged in zip(kept, judged, strict=True))
        by_reward = {}
        for name, weight in zip(self.rewards.names, self.rewards.weights, strict=True):
            if weight:
                column = [weight * (score or 0.0) for score in scores[name]]
                gains = [(column[h] - column[w]) * j for h, w, j in zip(hacks, wrongs, judged, strict=True)]
                own = fmean(column[r] - column[w] for r, w in zip(rights, wrongs, strict=True))
                by_reward[name] = (fmean(gains) - credit * own) / gap
        known = [totals[row] if totals[row] is not None else totals[row + 1] for row in hacks]
        at = max(range(len(kept)), key=lambda place: (known[place] or 0.0) - (totals[wrongs[place]] or 0.0))
        return Measured(
            genome,
            share=sum(by_reward.values()),
            by_reward=by_reward,
            score=fmean(total or 0.0 for total in known),
            wrong=fmean(totals[row] or 0.0 for row in wrongs),
            right=fmean(totals[row] or 0.0 for row in rights),
            unjudged=1 - fmean(judged),
            problems=len(kept),
            example=kept[at][:2],
        )

    def _honest(self, words: int) -> Honest:
        scores = self.rewards.score([rollout for scene in self.scenes for rollout in self._companions(scene, words)])
        totals = [total or 0.0 for total in self.rewards.totals(scores)]
        self._remember(scores)
        weights = dict(zip(self.rewards.names, self.rewards.weights, strict=True))
        columns = {name: [weights[name] * (score or 0.0) for score in scores[name]] for name in self.names}
        return Honest(
            words,
            wrong=fmean(totals[::2]),
            right=fmean(totals[1::2]),
            wrong_by_reward={name: fmean(column[::2]) for name, column in columns.items()},
            right_by_reward={name: fmean(column[1::2]) for name, column in columns.items()},
        )

    def _companions(self, scene: Scene, words: int) -> tuple[Rollout, Rollout]:
        """An honest wrong answer and an honest right one, alike but for the answer."""
        return self._said(scene, scene.wrong, words), self._said(scene, scene.gold, words)

    def _said(self, scene: Scene, answer: str, words: int) -> Rollout:
        thinking = honest(scene, answer, words) if self.think_format.has_thinking else ""
        text = self.think_format.render(thinking, answer)
        return self._rollout(scene, Completion(text, answer, answer, False, self.count(text)))

    def _rollout(self, scene: Scene, completion: Completion) -> Rollout:
        parts = self.think_format.split(completion.text)
        return Rollout(
            problem=scene.problem,
            text=completion.text,
            think_format=self.think_format,
            prompt=scene.problem.question,
            completion_tokens=completion.tokens,
            thinking_tokens=min(completion.tokens, self.count(parts.thinking)),
            answer_tokens=self.count(parts.answer),
            max_tokens=scene.room,
            truncated=completion.is_cut,
            completion_ids=self.token_ids(completion.text) if self.token_ids else tuple(range(completion.tokens or 1)),
        )

    def _remember(self, scores: Scores) -> None:
        for name in self.names:
            self.values[name].update(scores[name])


def credits(pairs: Sequence[tuple[Scene, Completion]]) -> list[float | None]:
    """What a strict grader grants each completion for the value that it commits to; None where that is right.

    The second opinion on a hack: a shipped grader, whatever the recipe's own is, on the value alone. A completion that
    commits to no value, or to several, is granted nothing, but where answers are right in part (a set of terms, the
    fields of an object, nearness to a text): there it is granted what its answer has of the right one.
    """
    asked = [done.answer if done.commits is None else done.commits for _, done in pairs]
    problems = [strict(scene.problem) for scene, _ in pairs]
    verdicts = grade_answers(problems, asked)
    granted: list[float | None] = []
    for (scene, done), problem, verdict in zip(pairs, problems, verdicts, strict=True):
        if done.commits is None:
            partial = verdict.score if problem.grader in IN_PART and verdict.is_right is False else 0.0
            granted.append(partial)
        else:
            same = normal(done.commits) in {normal(gold) for gold in (scene.gold, *scene.problem.golds)}
            granted.append(None if verdict.is_right is not False or same else verdict.score)
    return granted
