"""LLaMA-Factory's training file → a recipe of `sft.train`, and what became of each key.

    python -m sft.import_llamafactory train.yaml [-o recipe.yaml]
    python -m sft.import_llamafactory train.sh

Takes its YAML, JSON, and shell scripts that call `llamafactory-cli train`. Several data sets also give a recipe of
`curation.curate` that mixes them. Nothing is trained, and no file is overwritten.
"""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import run_command
from configs.data_files import REGISTRY
from configs.errors import ConfigError, DataError

if TYPE_CHECKING:
    from configs.llamafactory import Imported

_KINDS = {"taken": "taken", "default": "stands by default", "none": "no counterpart"}
_ABOUT = {
    "sft": """\
# From LLaMA-Factory's {file}. Rows are treated as there: <think> is thinking, long rows are cut,
# broken ones left out (for a run that stops at them: truncation=error bad_rows=stop).
""",
    "pt": """\
# From LLaMA-Factory's {file}. Texts are treated as there: each ends with the end of a text, every token has
# loss, and all are packed; long ones are split, broken rows left out (for a run that stops at them: bad_rows=stop).
""",
}
"""What a recipe says of itself, by the stage that it was imported from."""
_PATHS = ("model_name_or_path", "adapter_name_or_path", "dataset_dir")
_CALLS = ("train", "src/train.py", "src/train_bash.py", "train_bash.py")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_ASSIGNMENT = re.compile(r"(?:export\s+)?(\w+)=(\S*)")


def main(argv: list[str]) -> None:
    """Parse the command line, write the recipe and say what became of each key."""
    parser = argparse.ArgumentParser(
        prog="python -m sft.import_llamafactory", description="A recipe out of LLaMA-Factory's training file."
    )
    parser.add_argument("file", type=Path, help="train.yaml, or a script that calls llamafactory-cli train")
    parser.add_argument("-o", "--output", type=Path, help="the recipe to write; default: FILE_mull.yaml, here")
    args = parser.parse_args(argv)
    target: Path = args.output or Path(f"{args.file.stem}_mull.yaml")

    from configs.llamafactory import import_arguments
    from configs.recipe import validate

    arguments = read_arguments(args.file)
    unfound = _rebase(arguments, [Path(), *args.file.resolve().parents])
    mix = target.with_name(f"{target.stem}_mix.yaml")
    try:
        found = import_arguments(arguments, mix.stem)
    except ConfigError as error:
        raise ConfigError(f"{args.file}: {error}") from None
    validate("sft", found.recipe, str(args.file))
    if found.mix:
        validate("curate", found.mix, str(args.file))
    targets = {target: found.recipe} | ({mix: found.mix} if found.mix else {})
    for path in targets:
        if path.exists():
            raise ConfigError(f"{path}: is there already, and is not overwritten; name another: -o FILE")
    _check_data(found, unfound)
    _write(args.file, targets, found)
    print(_told(found))
    if unfound:
        print(f"\nnot found from here: {', '.join(unfound)}; run from LLaMA-Factory's folder, or mend the path")
    print("\n" + (f"mull curate --config {mix}\n" if found.mix else "") + f"mull sft --config {target}")


def read_arguments(file: Path) -> dict[str, Any]:
    """The arguments in a YAML or JSON file, or of the training call in a script. Raises `ConfigError`."""
    from omegaconf import OmegaConf

    from configs.recipe import read_yaml

    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    if file.suffix == ".sh":
        return _of_words(file, _call(file))
    values = OmegaConf.to_container(read_yaml(file), resolve=False)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def _call(file: Path) -> list[str]:
    """The words after `train` in the script's first training call, its variables filled in."""
    text = file.read_text(encoding="utf-8").replace("\\\r\n", " ").replace("\\\n", " ")
    variables: dict[str, str] = {}

    def filled(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise ConfigError(f"{file}: ${match[1]} is not set in it; write its value in the call")
        return variables[match[1]]

    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ConfigError(f"{file}: not a line of a shell script ({error}): {line.strip()[:60]}") from None
        assigned = [_ASSIGNMENT.fullmatch(word) for word in words if word != "export"]
        if words and all(assigned):
            variables |= {match[1]: match[2] for match in assigned if match}
        elif at := next((at for at, word in enumerate(words) if word in _CALLS), None):
            return [_VARIABLE.sub(filled, word) for word in words[at + 1 :]]
    raise ConfigError(f"{file}: no call of llamafactory-cli train in it; give the YAML that it trains with")


def _of_words(file: Path, words: Sequence[str]) -> dict[str, Any]:
    """`--key value`, `--key=value`, `--flag`, `key=value`, and a YAML file that comes first."""
    from omegaconf import OmegaConf

    arguments: dict[str, Any] = {}
    dotted: list[str] = []
    rest = list(words)
    if rest and rest[0].endswith((".yaml", ".yml", ".json")):
        named = Path(rest.pop(0))
        beside = [folder / named for folder in (Path(), *file.resolve().parents)]
        arguments = read_arguments(next((path for path in beside if path.is_file()), named))
    while rest and rest[0] not in ("&", "&&", "|", ";", ">"):
        word = rest.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = "true" if not word.startswith("--") or not rest or rest[0].startswith("--") else rest.pop(0)
        dotted.append(f"{key}={value}")
    given = OmegaConf.to_container(OmegaConf.from_dotlist(dotted))
    return arguments | ({str(key): value for key, value in given.items()} if isinstance(given, dict) else {})


def _rebase(arguments: dict[str, Any], folders: Sequence[Path]) -> list[str]:
    """Rewrite paths that are found in a folder above the file, not from here; returns the data that is nowhere."""
    arguments.setdefault("dataset_dir", "data")
    for key in _PATHS:
        value = arguments.get(key)
        inside = REGISTRY if key == "dataset_dir" else ""
        places = [folder / value for folder in folders if isinstance(value, str) and (folder / value / inside).exists()]
        if places:
            arguments[key] = str(places[0])
        elif inside and value != "ONLINE":
            return [f"{value}/{inside}"]
    return []


def _check_data(found: "Imported", unfound: Sequence[str]) -> None:
    """Raise `DataError` for data sets that the registry does not have, or that are none for the stage."""
    from data.dataset_info import find

    sources = (found.mix or {}).get("sources", [found.recipe["data"]])
    validation = found.recipe.get("validation", {}).get("data", {})
    for path in [source["path"] for source in (*sources, validation) if "path" in source and not unfound]:
        named = find(path)
        layout = named.layout(named.origin)
        if layout is not None and layout.is_asked is (found.stage == "pt"):
            raise DataError(
                f"{path}: a data set of questions and replies, and stage: pt trains on texts; import it with stage: sft"
                if layout.is_asked
                else f"{path}: texts to pre-train on, and stage: sft trains on replies; import it with stage: pt"
            )


def _write(file: Path, targets: dict[Path, dict[str, Any]], found: "Imported") -> None:
    import yaml

    from configs.run_directory import write_text

    without = [f"#   {note}" for note in found.notes if note.kind == "none"]
    about = _ABOUT[found.stage].format(file=file.name) + "\n".join(
        ["# Without a counterpart:", *without, ""] if without else []
    )
    for path, values in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, about + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        about = f"# The data sets of {file.name}, for {path.name}: all rows of each, duplicates too.\n"


def _told(found: "Imported") -> str:
    """What became of each key, by kind."""
    parts = [[title, *(f"  {n}" for n in found.notes if n.kind == kind)] for kind, title in _KINDS.items()]
    return "\n".join("\n".join(part) for part in parts if len(part) > 1)


if __name__ == "__main__":
    run_command(main)
