"""One evaluation, top to bottom: problems → samples under every budget → grades → results, curve and report."""

from typing import Any

from configs.errors import RunError
from configs.run_directory import RunDir
from configs.schema.evaluation import EvalConfig
from data.think_format import resolve_think_format
from evaluation import answers_file, runner
from evaluation.console import describe, progress_line, show_results


def run_evaluation(config: EvalConfig, run: RunDir, *, dry_run: bool, lm_eval: bool) -> dict[str, Any] | None:
    """Evaluate, or print the plan. Returns what `results.json` holds. Raises `MullError`s."""
    problems = runner.problems_of(config)
    if dry_run:
        print(describe(config, len(problems)))
        return None
    if config.answers is not None:
        points = [answers_file.grade_file(config, problems, answers_file.load_answers(config, problems), run)]
    else:
        from models.engines.select import load_engine  # torch: answers that another tool made are graded without it

        engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
        with progress_line() as progress:
            points = runner.generate(config, problems, run, engine, progress)
        engine.close()
    try:
        results = runner.finish(config, problems, run, points)
    except OSError as error:
        raise RunError(f"{error.filename}: can't be written: {error.strerror}; go on with --resume") from error
    if lm_eval:
        for file in runner.export_lm_eval(config, problems, run, points):
            print(f"wrote {file}")
    show_results(results, run)
    return results
