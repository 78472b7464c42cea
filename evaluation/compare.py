"""Two runs on the same questions: is one better, or is it chance?

    python -m evaluation.compare RUN_A RUN_B [--judge FILE] [--json FILE]

A run is an evaluation's folder, or a file of samples such as a training's `heldout_after.jsonl`; `RUN@LABEL` takes one
point of it (a budget's label in `results.json`), so that two budgets of one run can be compared too. Without a label,
points with the same label are paired, or the only ones. `--judge` also puts both replies to a model, side by side and
in both orders; FILE is YAML as an evaluation's `judge:` section, and the judgements are kept beside B's samples.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from configs.command import run_command
from configs.errors import ConfigError, RunError
from configs.sample import Sample
from evaluation import metrics
from evaluation.results import Point, questions, scores
from report.page import percent

if TYPE_CHECKING:
    from configs.schema.judge import JudgeConfig


SHARED = (
    "Points of one run share their thinking as far as it goes: their difference is that of their budgets alone, and "
    "they are not independent."
)
OTHER_GOLD = "has another gold answer, or other references, in the other run; compare runs on the same benchmark"


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A, question by question.

    a, b         their mean scores; difference: B - A, its interval from resampling questions
    better, worse  questions on which B scores higher, and lower
    p            chance of a difference at least this large if A and B were alike: exact McNemar for single samples,
                 sign flips of the questions' means otherwise
    needed       questions it would take to see a difference like this 4 times in 5; None where there is none
    unpaired     questions left out: answered or graded in one run only
    """

    label: str
    questions: int
    a: metrics.Interval
    b: metrics.Interval
    difference: metrics.Interval
    better: int
    worse: int
    p: float
    test: str
    needed: int | None
    unpaired: int

    def verdict(self, a: str = "A", b: str = "B") -> str:
        """The comparison in words, in which the runs are called `a` and `b`."""
        if self.better == self.worse == 0:
            return f"{a} and {b} score the same on each of {self.questions} questions."
        if self.needed is None:  # no difference but for rounding
            ahead = f"{a} ahead on {self.worse}, {b} on {self.better}"
            return f"{a} and {b} are equal over {self.questions} questions: {ahead}. Nothing speaks for either."
        net = self.difference.value * self.questions
        size = f"{abs(net):.0f}" if abs(net - round(net)) < 1e-9 else f"{abs(net):.1f}"
        side = "better" if net > 0 else "worse"
        chance = "less than 0.1%" if self.p < 0.001 else f"{100 * self.p:.{0 if self.p >= 0.095 else 1}f}%"
        by_chance = f"a difference of this size appears by chance {chance} of the time"
        text = f"{b} is {size} of {self.questions} {side}; {by_chance}."
        if self.p < 0.05:
            return text
        return f"{text} To see a difference like this would take about {self.needed:,} questions."


def compare_samples(label: str, a: Sequence[Sample], b: Sequence[Sample], level: float = 0.95) -> Comparison:
    """Compare two lists of samples, intervals at `level`. Raises `RunError` where they share no graded question."""
    scores_a, scores_b = scores(a), scores(b)
    shared = [id for id in scores_a if id in scores_b]
    golds = [{id: group[0].golds for id, group in questions(side).items()} for side in (a, b)]
    if changed := [id for id in shared if golds[0][id] != golds[1][id]]:
        raise RunError(f"question {changed[0]} {OTHER_GOLD}")
    if not shared:
        raise RunError(f"{label}: the two runs share no graded question; compare runs on the same benchmark")
    rates_a, rates_b = (
        [sum(scores_of[id]) / len(scores_of[id]) for id in shared] for scores_of in (scores_a, scores_b)
    )
    better = sum(y > x for x, y in zip(rates_a, rates_b, strict=True))
    worse = sum(y < x for x, y in zip(rates_a, rates_b, strict=True))
    single = set(rates_a + rates_b) <= {0.0, 1.0}
    return Comparison(
        label=label,
        questions=len(shared),
        a=metrics.accuracy([scores_a[id] for id in shared], level),
        b=metrics.accuracy([scores_b[id] for id in shared], level),
        difference=metrics.paired_bootstrap(rates_a, rates_b, level),
        better=better,
        worse=worse,
        p=metrics.mcnemar_exact(better, worse) if single else metrics.sign_flip(rates_a, rates_b),
        test="exact McNemar" if single else "sign flips",
        needed=metrics.questions_needed(rates_a, rates_b),
        unpaired=len(questions(a).keys() | questions(b).keys()) - len(shared),
    )


def neighbours(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Each point of a sweep against the one before it, question by question; those without a common graded one not."""
    found = []
    for earlier, later in pairwise(points):
        if scores(earlier.samples).keys() & scores(later.samples).keys():
            compared = compare_samples(later.label, earlier.samples, later.samples)
            found.append({"from": earlier.label, "to": later.label, **as_dict(compared)})
    return found


def read_run(name: str) -> dict[str, list[Sample]]:
    """Samples by point of the run `RUN` or `RUN@LABEL`; a run is a folder or a file. Raises `RunError`."""
    from evaluation.sample_store import SampleStore

    file, label = find_run(name)
    points: dict[str, list[Sample]] = {}
    for sample in SampleStore(file).load().values():
        points.setdefault(sample.point, []).append(sample)
    if label and label not in points:
        raise RunError(f"{file}: no point {label!r}; it has {', '.join(map(repr, points))}")
    return {label: points[label]} if label else points


def find_run(name: str) -> tuple[Path, str]:
    """(file of samples, label or "") of `RUN` or `RUN@LABEL`. Raises `RunError`."""
    parts = name.split("@")  # a folder's own name may hold one, and so may a label
    for at in range(len(parts), 0, -1):
        run = Path("@".join(parts[:at]))
        file = run if run.suffix == ".jsonl" else run / "samples.jsonl"
        if file.is_file():
            return file, "@".join(parts[at:])
    raise RunError(f"{name}: no samples.jsonl there; give the folder of an evaluation, or a file of samples")


def pairs(a: Mapping[str, list[Sample]], b: Mapping[str, list[Sample]]) -> dict[str, tuple[list[Sample], list[Sample]]]:
    """Points to compare: the only one of each, else those of the same label. Raises `RunError` if there are none."""
    if len(a) == len(b) == 1:
        (label_a, rows_a), (label_b, rows_b) = *a.items(), *b.items()
        return {label_a if label_a == label_b else f"{label_a} → {label_b}": (rows_a, rows_b)}
    common = {label: (a[label], b[label]) for label in a if label in b}
    if not common:
        raise RunError(f"no point in common: A has {', '.join(a)}; B has {', '.join(b)}; choose with FOLDER@LABEL")
    return common


def main(argv: list[str]) -> None:
    """Read → compare → print."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.compare", description="Compare two evaluations.")
    parser.add_argument("a", metavar="RUN_A", help="an evaluation's folder or a file of samples; RUN@LABEL: one point")
    parser.add_argument("b", metavar="RUN_B", help="the other")
    parser.add_argument(
        "--judge", type=Path, metavar="FILE", help="ask a model which reply is better; its YAML section"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args(argv)
    judge = read_judge(args.judge) if args.judge else None
    paired = pairs(read_run(args.a), read_run(args.b))
    comparisons = [compare_samples(label, *rows) for label, rows in paired.items()]
    _show(comparisons)
    if find_run(args.a)[0] == find_run(args.b)[0]:
        print(SHARED)
    written = [as_dict(one) for one in comparisons]
    if judge is not None:
        for one, (label, rows) in zip(written, paired.items(), strict=True):
            one["judge"] = _preference(judge, label, rows, find_run(args.b)[0])
    if args.json:
        from configs.run_directory import write_json

        try:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            write_json(args.json, written)
        except OSError as error:
            raise RunError(f"--json {args.json}: can't be written: {error.strerror}") from error


def read_judge(file: Path) -> "JudgeConfig":
    """The judge that a YAML file describes, with or without `judge:` over it. Raises `ConfigError`."""
    import yaml
    from pydantic import ValidationError

    from configs.recipe import explain
    from configs.schema.judge import JudgeConfig

    try:
        section = yaml.safe_load(file.read_text(encoding="utf-8"))
        if isinstance(section, dict) and section.keys() == {"judge"}:  # as it stands in a recipe
            section = section["judge"]
        return JudgeConfig.model_validate(section)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--judge {file}: can't be read: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigError(f"--judge {file}: {explain(JudgeConfig, error)}") from None


def _preference(
    judge: "JudgeConfig", label: str, rows: tuple[list[Sample], list[Sample]], samples: Path
) -> dict[str, Any] | None:
    """What the judge prefers, printed and for JSON; None where it said nothing."""
    from evaluation.judging import failures
    from evaluation.pairwise import prefer

    file = samples.with_name("judgements_of_pairs.jsonl")
    found = prefer(judge, *rows, file)
    print(
        "\n".join([f"{label}: {found or f'judge {judge.server.model}: nothing that could be read'}", *failures(file)])
    )
    return found.as_dict() if found else None


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """For JSON."""
    return asdict(comparison) | {"verdict": comparison.verdict()}


def screen() -> Console:
    """Where tables are printed: a log file has no width to fit."""
    return Console(width=None if sys.stdout.isatty() else 160)


def table_of(columns: Sequence[str], title: str = "", left: Sequence[str] = ()) -> Table:
    """A table whose first column, a name, takes more lines where it has to, so that no number is cut."""
    table = Table(title=escape(title) or None, box=SIMPLE)
    for at, column in enumerate(columns):
        is_left = at == 0 or column in left
        table.add_column(column, justify="left" if is_left else "right", no_wrap=at > 0, overflow="fold")
    return table


def _show(found: Sequence[Comparison]) -> None:
    """The paired table, and the verdict of each point in words."""
    columns = ("budget", "questions", "A", "B", "B − A, 95% interval", "B better / worse", "p", "test")
    table = table_of(columns, left=("test",))
    for one in found:
        low, value, high = (100 * x for x in (one.difference.low, one.difference.value, one.difference.high))
        table.add_row(
            escape(one.label), str(one.questions), percent(one.a.value), percent(one.b.value),
            f"{value:+.1f} [{low:+.1f}, {high:+.1f}]", f"{one.better} / {one.worse}", f"{one.p:.3g}", one.test,
        )  # fmt: skip
    console = screen()
    console.print(table)
    for one in found:
        label = f"{escape(one.label)}: " if len(found) > 1 else ""
        console.print(label + one.verdict(), highlight=False)
        if one.unpaired:
            console.print(f"left out, answered or graded in one run only: {one.unpaired} questions", highlight=False)


if __name__ == "__main__":
    run_command(main)
