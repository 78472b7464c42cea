"""The model card: what was trained on what, what it scored and how that was measured, and what it is not for."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from configs.gate_report import GateReport
from configs.schema.publish import PublishConfig
from evaluation.benchmark_age import older_than_model
from evaluation.results import is_mostly_graded
from release.benchmarks import benchmark_results, interval_args
from release.promise import promise_text
from release.targets import file_of, folder_of
from report.page import percent
from training.finished_run import TrainedRun

TEMPLATE = """---
{{ card_data }}
---
# {{ title }}

{{ summary }}

{{ use }}

## Results

{{ results }}

## How it thinks

{{ thinking }}

## Training

{{ training }}

## Checked before publishing

{{ gate }}

## Limits and licence

{{ limits }}
"""

ADAPTERS = {
    "lora": "a LoRA adapter",
    "dora": "a DoRA adapter",
    "adalora": "an AdaLoRA adapter",
    "prefix": "a prefix (prefix tuning)",
    "p_tuning_v2": "a prefix (P-tuning v2)",
    "p_tuning": "virtual tokens (P-tuning)",
    "prompt": "virtual tokens (prompt tuning)",
}
"""What was trained, by the adapter's type."""


def model_card(
    run: TrainedRun, config: PublishConfig, title: str, gate: GateReport, base: str, licence: str
) -> ModelCard:
    """The card of a publication; `base` is the base model's hub id, `licence` that of its weights."""
    results = [*_training_results(run), *_evaluation_results(config.evaluations)]
    first = config.exports[0]
    data = ModelCardData(
        base_model=base,
        license=licence,
        library_name="peft" if first == "adapter" else "gguf" if first.startswith("gguf") else "transformers",
        pipeline_tag="text-generation",
        tags=list(
            dict.fromkeys(["reasoning", run.stage, f"think-format-{run.think_format.name}", "mull", *config.tags])
        ),
        model_name=title,
        eval_results=results or None,
    )
    card: ModelCard = ModelCard.from_template(
        data,
        template_str=TEMPLATE,
        title=title,
        summary=_summary(run, base),
        use=_use(config, title, base),
        results=_table(results, base) + _curve(config.evaluations),
        thinking=_thinking(run, config.evaluations) + promise_text(run, config),
        training=_training(run, config),
        gate=_gate(gate),
        limits=_limits(config, base, licence),
    )
    return card


def _summary(run: TrainedRun, base: str) -> str:
    learned = "supervised fine-tuning" + (" on reasoning traces" if run.think_format.has_thinking else "")
    method = learned if run.stage == "sft" else "GRPO (reinforcement learning)"
    trained = "all weights" if run.adapter_type is None else ADAPTERS.get(run.adapter_type, "an adapter")
    text = f"[{base}](https://huggingface.co/{base}), trained by {method}: {trained}."
    if run.config.model.name != base:
        text += f" The base was loaded as `{Path(run.config.model.name).name}` in {run.precision}."
    return text


def _use(config: PublishConfig, repo: str, base: str) -> str:
    """How each export is loaded."""
    code = [line for at, target in enumerate(config.exports) for line in _loading(target, at == 0, repo, base)]
    names = {"huggingface_hub": "snapshot_download", "peft": "PeftModel", "transformers": "AutoModelForCausalLM"}
    used = [f"from {package} import {name}" for package, name in names.items() if any(name in line for line in code)]
    told = "The chat template carries the think format: programs that use it prompt as the training did."
    return "\n".join([told, "", "```python", *([*used, ""] if used else []), *code, "```"])


def _loading(target: str, at_root: bool, repo: str, base: str) -> list[str]:
    """The lines that load one export."""
    folder = folder_of(target)
    if target.startswith("gguf:"):
        return [f"# {target}: {file_of(target)}, for llama.cpp and Ollama"]
    if target == "adapter":
        place = "" if at_root else f', subfolder="{folder}"'
        return [
            f"# {target}",
            f'model = AutoModelForCausalLM.from_pretrained("{base}")',
            f'model = PeftModel.from_pretrained(model, "{repo}"{place})',
        ]
    if at_root:
        return [f"# {target}", f'model = AutoModelForCausalLM.from_pretrained("{repo}")']
    # not by subfolder=: beside an adapter, Transformers looks for that folder in the base model's repository
    return [
        f"# {target}",
        f'folder = snapshot_download("{repo}", allow_patterns="{folder}/*")',
        f'model = AutoModelForCausalLM.from_pretrained(f"{{folder}}/{folder}")',
    ]


def _training_results(run: TrainedRun) -> list[EvalResult]:
    """What the training command measured on its held-out problems; weights chosen on some of them look too good."""
    file = run.path / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    held_out = run.config.eval
    if held_out is None:
        return []
    source = held_out.data.source if held_out.data else run.config.data.source
    measured = summary.get("measured", "accuracy")  # replies that are right to a degree have a mean score
    points = {"greedy": f"{measured}, greedy", "avg_at_k": f"{measured}, mean of {held_out.k} samples"}
    chosen = f"; {summary['watched']} of them chose these weights, so it is optimistic" if "watched" in summary else ""
    kinds = {"after": chosen, "unwatched": "; none of them chose these weights"}
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=source,
            dataset_name=f"{source}, held out",
            metric_type=measured,
            metric_name=name,
            metric_value=round(figure["value"], 4),
            metric_args=interval_args(figure)
            | {"protocol": f"{name}; at most {held_out.max_tokens} tokens, held-out problems, never trained on{how}"},
        )
        for kind, how in kinds.items()
        for point, name in points.items()
        if (figure := summary.get(f"{point}_{kind}"))
    ]


def _evaluation_results(folders: Sequence[str]) -> list[EvalResult]:
    """Every figure of every point of the evaluations: accuracy, and the metrics of a domain task."""
    found = []
    for folder in folders:
        results = _results(folder)
        if "harness" in results:
            found += benchmark_results(results)
            continue
        for point in results["points"]:
            figures = {"accuracy": point["accuracy"], **point.get("metrics", {})}
            found += [
                EvalResult(
                    task_type="text-generation",
                    dataset_type=results["benchmark"]["source"],
                    dataset_name=results["benchmark"]["source"],
                    metric_type=metric,
                    metric_name=f"{metric}, {point['label']}",
                    metric_value=round(figure["value"], 4),
                    metric_args=interval_args(figure)
                    | {
                        "budget": {key: value for key, value in point["budget"].items() if value not in (None, "")},
                        "protocol": "; ".join(filter(None, [_protocol(results, point), figure.get("about")])),
                    },
                )
                for metric, figure in figures.items()
                if figure is not None
            ]
    return found


def _protocol(results: dict[str, Any], point: dict[str, Any]) -> str:
    """How a point was measured, and what its accuracy would be with the samples that could not be graded."""
    text = (
        f"temperature {results['sampling']['temperature']}, {point['samples']} samples of {point['questions']} "
        f"problems, think format {results['think_format']}, seed {results['seed']}"
    )
    if is_mostly_graded(point):
        return text
    low, high = (percent(point["accuracy_bounds"][end]) for end in ("low", "high"))
    return f"{text}; {percent(point['shares']['ungraded'])} could not be graded: with them from {low} to {high}"


def _results(folder: str) -> dict[str, Any]:
    return dict(json.loads((Path(folder) / "results.json").read_text(encoding="utf-8")))


def _table(results: Sequence[EvalResult], base: str) -> str:
    if not results:
        return "Not measured."
    lines = ["| data | measure | value | 95% interval | n | protocol |", "|---|---|---|---|---|---|"]
    for result in results:
        args = result.metric_args or {}
        low, high = args["interval_95"]
        lines.append(
            f"| {result.dataset_name} | {result.metric_name} | {percent(result.metric_value)} "
            f"| {100 * low:.1f} to {percent(high)} | {args['n']} | {args['protocol']} |"
        )
    older = dict.fromkeys(older_than_model(result.dataset_type, base) for result in results)
    return "\n".join(lines + [f"\n{line}." for line in older if line])


def _curve(folders: Sequence[str]) -> str:
    has_curve = any((Path(folder) / "scaling.png").is_file() for folder in folders[:1])
    return "\n\n![Accuracy over thinking tokens, with 95% intervals](scaling.png)" if has_curve else ""


def _thinking(run: TrainedRun, folders: Sequence[str]) -> str:
    think = run.think_format
    text = (
        f"Think format `{think.name}`: the prompt ends in `{_shown(think.prefill)}`, `{_shown(think.end)}` ends the "
        "thinking and starts the answer. Keep special tokens when decoding. `generation_config.json` holds the format."
    )
    budgets = [point["budget"] for folder in folders for point in _results(folder)["points"] if "budget" in point]
    if budgets:
        keys = ("max_thinking", "min_thinking", "num_waits", "wait_text", "final_answer_text", "max_answer")
        lines = [", ".join(f"{key} {budget[key]!r}" for key in keys if budget.get(key)) for budget in budgets]
        text += "\n\nBudgets that were measured:\n\n" + "\n".join(f"- {line}" for line in lines)
    return text


def _shown(text: str) -> str:
    return text.replace("\n", "\\n")


def _training(run: TrainedRun, config: PublishConfig) -> str:
    text = f"Data: {run.config.data.source}"
    if config.curation is not None:
        text += _curation(Path(config.curation))
    recipe = run.config.model_dump(exclude={"output_dir", "tracking"})
    recipe["trainer"] = {key: value for key, value in recipe["trainer"].items() if not key.startswith("hub_")}
    shown = yaml.safe_dump(_public(recipe), sort_keys=False, allow_unicode=True)
    return f"{text}\n\n<details><summary>The recipe</summary>\n\n```yaml\n{shown}```\n\n</details>"


def _public(value: Any) -> Any:
    """A recipe's value without this machine's folders: a local path becomes its last name."""
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    is_path = isinstance(value, str) and value != "" and (Path(value).is_absolute() or os.path.exists(value))
    return Path(value).name if is_path else value


def _curation(folder: Path) -> str:
    """Inputs with their hashes, what each stage removed, and what was contaminated by which benchmark."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    lines = [", curated.", "", "| input | SHA-256 | rows |", "|---|---|---|"]
    lines += [
        f"| {Path(entry['path']).name} | `{entry['sha256'] or 'generated'}` | {entry.get('rows', '')} |"
        for entry in manifest["inputs"]
    ]
    lines += ["", "| stage | removed | reasons |", "|---|---|---|"]
    for stage in manifest["stages"]:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in stage.get("reasons", {}).items())
        lines.append(f"| {stage['name']} | {stage['removed']} | {reasons} |")
    lines += ["", "| output | SHA-256 | rows |", "|---|---|---|"]
    lines += [f"| {name} | `{entry['sha256']}` | {entry['rows']} |" for name, entry in manifest["outputs"].items()]
    return "\n".join(lines)


def _gate(report: GateReport) -> str:
    lines = [
        f"Each export was loaded again in a fresh process and compared with the trained model: teacher-forced on "
        f"{report.prompts} of its answers, and on {report.problems} held-out problems.",
        "",
        "| export | check | figure | bound |",
        "|---|---|---|---|",
    ]
    lines += [f"| {check.export} | {check.name} | {check.figure} | {check.bound} |" for check in report.checks]
    return "\n".join(lines)


def _limits(config: PublishConfig, base: str, licence: str) -> str:
    data = f"; training data: {config.data_license}" if config.data_license else ""
    own = f"{config.limits}\n\n" if config.limits else ""
    return (
        f"{own}What {base} can't do, and what it gets wrong, this model inherits. Its thinking is no account of how it "
        f"came to an answer.\n\nLicence of the base weights, which these are derived from: {licence}{data}."
    )
