"""Every error a user can cause, and the exit code it ends with.

    MullError               one clear line, exit code 2
    ├── ConfigError         a recipe, a key, a type, an impossible combination
    ├── DataError           a file, a row, a column
    ├── ModelError          weights, tokenizer, adapter, memory
    ├── RewardError         a reward or its plug-in
    ├── EngineError         generation, budgets, a server
    └── RunError            an output directory, a checkpoint, a gate that said no

A message names the file, key or row, says what was found there, and then the way out.
"""


class MullError(Exception):
    """Base of every error that is the user's to mend; `configs.command.run_command` prints it and exits with 2."""


class ConfigError(MullError):
    """The recipe can't be run as written."""


class DataError(MullError):
    """A data file or one of its rows can't be used."""


class ModelError(MullError):
    """A model, tokenizer or adapter can't be loaded or used."""


class RewardError(MullError):
    """A reward is unknown, misconfigured, or broke its contract."""


class EngineError(MullError):
    """Generation can't be done as asked."""


class RunError(MullError):
    """The run directory or the run's state forbids going on."""


def first_line(error: Exception) -> str:
    """What a library's error says first; its type where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
