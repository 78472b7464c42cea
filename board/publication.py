"""A publication as a form: a finished run, its forms, its card's facts; the recipe and the command they make."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from board.folder import Folder
from board.recipe_form import RUN_NAME, Launch, kept_recipe
from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.schema.publish import TARGETS
from models.source import HUB_ID

FIELDS = ("base_model", "license", "data_license", "tags", "limits")
"""The keys of the recipe that are typed."""
HOME = "publish"
"""The folder below the root that publications go into."""


def publication_name(run: str) -> str:
    """The folder below the root that a run's publication goes into."""
    return f"{HOME}/{run.replace('/', '-')}"


def publication(
    folder: Folder,
    run: str,
    exports: Sequence[str],
    repo: str,
    is_public: bool,
    evaluations: Sequence[str],
    typed: Mapping[str, str],
) -> Launch:
    """The command that publishes a run of the folder, whose recipe is kept by its text.

    Raises `ConfigError` as the command line would, and `RunError` for a name that leads out of the folder.
    """
    # 1. the recipe
    if not run:
        raise ConfigError("run: choose a finished run")
    path, name = folder.path(run), publication_name(run)
    if not RUN_NAME.fullmatch(name):
        raise ConfigError(f"{run[:60]!r}: its publication can't be called so; publish it from the command line")
    recipe: dict[str, Any] = {"run": str(path), "exports": [one for one in exports if one in TARGETS]}
    if is_public:
        recipe["public"] = True
    if evaluations:
        recipe["evaluations"] = [str(folder.path(one)) for one in evaluations]
    for key in FIELDS:
        if text := (typed.get(key) or "").strip():
            text = text.replace("${", r"\${")  # of a text that is no reference to another key
            recipe[key] = [tag.strip() for tag in text.split(",") if tag.strip()] if key == "tags" else text
    recipe["output_dir"] = str(folder.path(name))
    kept = kept_recipe(folder, Path(name).name, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    load_recipe("publish", kept)

    # 2. the command
    words = ["release.publish", "--config", str(kept)]
    if repo.strip():
        if not HUB_ID.fullmatch(repo.strip()):
            raise ConfigError(f"repo: {repo.strip()[:60]!r} is no repository name; write owner/name")
        words.append(f"--repo={repo.strip()}")
    return Launch(words, name, "publish", is_run=False)


def dry(launch: Launch) -> Launch:
    """The same command, which puts the folder together and sends nothing."""
    return Launch([*launch.words, "--dry-run"], launch.run, launch.stage, is_run=False)
