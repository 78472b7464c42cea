"""The one folder that the board reads: no name leads out of it, through `..` or through a link."""

from pathlib import Path

from configs.errors import RunError


class Folder:
    """A root below which all that the board shows and makes lies."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def path(self, name: str) -> Path:
        """The path called `name` below the root. Raises `RunError` for one that leads out."""
        try:
            path = (self.root / name).resolve()
            path.exists()
        except (OSError, ValueError, RuntimeError):  # too long, a null byte, a circle of links
            raise RunError(f"{name[:80]!r}: no such folder") from None
        if path == self.root or not path.is_relative_to(self.root):
            raise RunError(f"{name[:80]!r} is not below {self.root}; the board reads nothing else (--folder)")
        return path

    def name(self, path: Path) -> str:
        """The name of a path below the root."""
        return path.relative_to(self.root).as_posix()

    def holds(self, path: Path) -> bool:
        """Whether a file is there and is, links followed, below the root."""
        try:
            return path.is_file() and path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False
