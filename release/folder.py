"""What a publication's folder holds, put together from exports that have passed the gate."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from configs.errors import ConfigError
from configs.gate_report import GATE_FILE, GateReport
from configs.run_directory import write_json
from configs.schema.publish import PublishConfig
from evaluation.plan import adapter_hash
from release.card import model_card
from release.gate import listed
from release.licence import UNKNOWN, licence_of
from release.promise import promises
from release.targets import made_from
from training.finished_run import TrainedRun

OURS = {"exports": "export.json", "repository": GATE_FILE}
"""The folders of `output_dir` that are made anew, and the file by which each is known to be ours."""


def check_publishable(run: TrainedRun, config: PublishConfig) -> None:
    """Raise `ConfigError` for folders that are not ours to replace, and for what a card could not truthfully say."""
    for name in OURS:
        _check_ours(Path(config.output_dir) / name)
    base_model(run, config)
    licence(run, config)
    for at, folder in enumerate(config.evaluations):
        file = Path(folder) / "results.json"
        if not file.is_file():
            raise ConfigError(f"evaluations.{at}: {folder} holds no results.json; name a evaluation.evaluate run")
        _check_evaluated(json.loads(file.read_text(encoding="utf-8")), run, f"evaluations.{at}: {folder}")
    promises(run, config)
    if config.curation is not None and not (Path(config.curation) / "manifest.json").is_file():
        raise ConfigError(f"curation: {config.curation} holds no manifest.json; name a curation.curate run")


def _check_evaluated(results: dict[str, dict[str, str | None]], run: TrainedRun, where: str) -> None:
    if run.adapter is not None and results["model"]["adapter"] != adapter_hash(str(run.adapter)):
        raise ConfigError(f"{where} evaluated another model than {run.adapter}; evaluate this one, or leave it out")


def base_model(run: TrainedRun, config: PublishConfig) -> str:
    """The base's hub id. Raises `ConfigError` where neither the run nor the recipe names one."""
    found = config.base_model or run.hub_base
    if found is None:
        raise ConfigError(
            f"base_model: missing; {run.config.model.name} is a folder of this machine, and others need its hub id"
        )
    return found


def licence(run: TrainedRun, config: PublishConfig) -> str:
    """The base's licence. Raises `ConfigError` where it is unknown."""
    found = config.license or licence_of(run)[0]
    if found == UNKNOWN:
        raise ConfigError(f"license: missing; the files of {run.config.model.name} don't say it, so look it up")
    return found


def is_export_of(folder: Path, run: TrainedRun, targets: Sequence[str]) -> bool:
    """Whether `folder` holds just these exports, made from this run as it is now."""
    file = folder / "export.json"
    if not file.is_file():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    return list(found["exports"]) == list(targets) and found.get("made_from") == made_from(run)


def clear(folder: Path) -> None:
    """Remove a folder of ours that is out of date. Raises `ConfigError` for one that holds anything else."""
    _check_ours(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _check_ours(folder: Path) -> None:
    if folder.exists() and not (folder / OURS[folder.name]).is_file():
        raise ConfigError(f"output_dir: {folder} is in use by something else; name another: output_dir=…")


def assemble(run: TrainedRun, config: PublishConfig, exports: Path, report: GateReport) -> Path:
    """The folder as the hub will have it, beside the exports: the first export at its root, the others in folders.

    GGUF files all stand at the root, where Ollama and llama.cpp look for them.
    """
    base, licensed = base_model(run, config), licence(run, config)
    title = config.repo or run.path.resolve().name
    target = Path(config.output_dir) / "repository"
    partial = Path(tempfile.mkdtemp(dir=config.output_dir, prefix=".repository-"))
    try:
        for at, (name, folder) in enumerate(listed(exports).items()):
            place = partial if at == 0 else partial / folder.name
            shutil.copytree(folder, place, dirs_exist_ok=True)
            if name.startswith("gguf:"):
                for file in place.glob("*.gguf"):
                    file.rename(partial / file.name)
            elif name == "adapter":
                _name_base(place / "adapter_config.json", base)
        shutil.copy(exports / GATE_FILE, partial)
        for folder in map(Path, config.evaluations[:1]):
            if (folder / "scaling.png").is_file():
                shutil.copy(folder / "scaling.png", partial)
        model_card(run, config, title, report, base, licensed).save(partial / "README.md")
        partial.chmod(0o755)
        clear(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _name_base(file: Path, base: str) -> None:
    write_json(file, json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": base})


def size(folder: Path) -> int:
    """Bytes of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
