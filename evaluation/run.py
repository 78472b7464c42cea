"""One evaluation, top to bottom: problems → samples under every budget → grades → results, curve and report."""

from typing import Any

from configs.errors import RunError
from configs.run_directory import RunDir, write_json
from configs.schema.evaluation import EvalConfig
from configs.schema.promise import Promise
from data.think_format import resolve_think_format
from evaluation import answers_file, perplexity, runner
from evaluation.acting import acting_engine
from evaluation.against import BASE, base_config, check_comparable, compare_with
from evaluation.compare import find_run, read_run
from evaluation.console import describe, progress_line, show_results
from evaluation.lm_eval_format import export_lm_eval
from evaluation.promise import check_other_questions
from report.before_after import COMPARISON_FILE


def run_evaluation(
    config: EvalConfig,
    run: RunDir,
    *,
    dry_run: bool = False,
    lm_eval: bool = False,
    compare: str | None = None,
    promise: Promise | None = None,
) -> dict[str, Any] | None:
    """Evaluate, or print the plan. Returns what `results.json` holds. Raises `MullError`s.

    With a `promise` the recipe's budgets are its longest one and the one that it is about.
    """
    problems = runner.problems_of(config)
    if promise is not None:
        check_other_questions(promise, problems)
    if dry_run:
        print(describe(config, len(problems)))
        if compare == BASE:
            print(f"      and as many of the base model, into {base_config(config).output_dir}")
        return None

    # 1. what it is compared with: the untrained model, evaluated first, or another run
    against = compare
    if compare == BASE:
        base = base_config(config)
        run_evaluation(base, RunDir(base.output_dir))
        against = base.output_dir
    earlier = read_run(against) if against else None
    if earlier is not None:
        check_comparable(config, problems, earlier)

    # 2. samples and grades
    if config.answers is not None:
        points = [answers_file.grade_file(config, problems, answers_file.load_answers(config, problems), run)]
    else:
        from models.engines.select import load_engine  # torch: answers that another tool made are graded without it

        engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
        with progress_line() as progress:
            points = runner.generate(config, problems, run, acting_engine(engine, config), progress)
        if config.measures_perplexity:
            perplexity.measure_gold_replies(engine, problems, run / perplexity.FILE)
        engine.close()

    # 3. results, comparison, report
    try:
        results = runner.finish(config, problems, run, points)
        (run / COMPARISON_FILE).unlink(missing_ok=True)  # an earlier session's: its figures may be of other samples
        if earlier is not None and compare and against:
            results["comparison"] = compare_with(config, problems, run, points, compare, earlier, find_run(against)[0])
        if promise is not None:
            from evaluation.calibration import PROMISE_FILE, look_at_promise  # scipy, for which others need not wait

            results["promise"] = look_at_promise(promise, points)
            write_json(run / PROMISE_FILE, results["promise"])
        runner.report(config, run)
    except OSError as error:
        raise RunError(f"{error.filename}: can't be written: {error.strerror}; go on with --resume") from error
    if lm_eval:
        for file in export_lm_eval(config, problems, run, points):
            print(f"wrote {file}")
    show_results(results, run)
    if promise is not None:
        print(results["promise"]["verdict"])
    return results
