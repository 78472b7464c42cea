"""`gate.json`: what the publish gate has found of each export, for the command, the card and the board."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import RunError

GATE_FILE = "gate.json"


class Check(BaseModel):
    """One check of one export: its figure, what was asked of it, and the verdict."""

    model_config = ConfigDict(frozen=True)

    export: str
    name: str
    figure: float | str
    bound: str
    passed: bool


class GateReport(BaseModel):
    """What `gate.json` holds; while the gate is at work, the checks so far.

    pending  exports that are still to be checked; while there are any, nothing has passed
    files    SHA-256 of every file that was checked, by its path in the folder
    """

    model_config = ConfigDict(frozen=True)

    passed: bool
    checks: list[Check]
    pending: list[str] = []
    prompts: int
    problems: int
    seconds: float
    files: dict[str, str]

    @property
    def failed(self) -> list[Check]:
        """The checks that said no."""
        return [check for check in self.checks if not check.passed]

    def require(self) -> None:
        """Raise `RunError`, naming the check, its figure and its bound, unless every check passed."""
        if self.failed:
            first = self.failed[0]
            more = f" (and {len(self.failed) - 1} more in gate.json)" if len(self.failed) > 1 else ""
            raise RunError(
                f"gate: {first.export}: {first.name} is {first.figure}, wanted {first.bound}{more}; publishes nothing"
            )


def read_gate_report(file: Path) -> GateReport:
    """The report in a file. Raises `RunError` where it holds none."""
    try:
        return GateReport.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RunError(f"{file}: can't be read: {' '.join(str(error).split())[:200]}") from None
