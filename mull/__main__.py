"""The `mull` command: the short form of every `python -m …`.

    mull grpo --config gsm8k.yaml        # python -m rl.grpo --config gsm8k.yaml
    mull --help                          # all commands, a line each

Modules beside the user's files don't hide ours here: the working directory comes last on the import path, so that
`my_rewards:short` is found and `models.py` is left alone.
"""

import importlib
import os
import sys
from pathlib import Path

COMMANDS = {
    "inspect": ("curation.inspect", "what a data file is: its layout, bad rows, three rows as a model sees them"),
    "curate": ("curation.curate", "questions and traces → a small, hard, diverse, clean set"),
    "distill": ("curation.distill", "traces of a teacher, graded"),
    "import-llamafactory": ("sft.import_llamafactory", "LLaMA-Factory's training file → a recipe of sft, key by key"),
    "sft": ("sft.train", "supervised fine-tuning on reasoning traces"),
    "attack": ("rl.attack", "wrong completions that a recipe's rewards pay for, found before training"),
    "plan": ("training.plan", "tokens, operations, memory and minutes of a run on GPUs that you may not have"),
    "doctor": ("rl.doctor", "what would go wrong in a GRPO run, found in a minute"),
    "grpo": ("rl.grpo", "GRPO with pluggable rewards"),
    "self_improve": ("self_improve.run", "rounds of posing, solving, checking, training on what was right, measuring"),
    "score": ("rewards.score", "what a recipe's rewards say about completions, and why"),
    "evaluate": ("evaluation.evaluate", "accuracy under thinking budgets, with intervals"),
    "compare": ("evaluation.compare", "two runs on the same questions: more than chance?"),
    "calibrate": ("evaluation.calibrate", "the cheapest budget that is proven to lose next to nothing"),
    "ladder": ("report.ladder", "one table over runs that build on each other"),
    "export": ("release.export", "adapter, merged weights, GGUF, each checked against the trained model"),
    "publish": ("release.publish", "the same onto the hub, with a model card"),
    "board": ("board.serve", "runs watched, compared, started and talked to in a browser"),
    "serve": ("serving.serve", "an OpenAI-compatible server with budgets"),
    "chat": ("serving.chat", "a terminal chat that shows what was forced"),
}
"""Name → (module, what it does)."""


def usage() -> str:
    """All commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}} {text}" for name, (_, text) in COMMANDS.items()]
    return "usage: mull COMMAND [--help] …\n\n" + "\n".join(lines) + "\n\nmull COMMAND --help says more."


def command_module(name: str) -> str:
    """The module of a command. Raises `ConfigError` for an unknown name."""
    from configs.errors import ConfigError
    from configs.suggestion import did_you_mean

    if name in COMMANDS:
        return COMMANDS[name][0]
    hint = did_you_mean(name, COMMANDS, f"the commands are {', '.join(COMMANDS)}")
    raise ConfigError(f"mull {name}: no such command; {hint}")


def dispatch(argv: list[str]) -> int | None:
    """Run the command that the first argument names."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return None
    module = importlib.import_module(command_module(argv[0]))
    code: int | None = module.main(argv[1:])
    return code


def main() -> None:
    """The console script."""
    here, house = os.getcwd(), str(Path(__file__).resolve().parents[1])
    sys.path[:] = [*(path for path in sys.path if path not in ("", here, house)), house, here]

    from configs.command import run_command

    run_command(dispatch)


if __name__ == "__main__":
    main()
