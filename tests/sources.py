"""Reading the sources of pinned packages, where they can't be imported or their inside is what matters."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNSLOTH = ROOT / ".unsloth"
"""Unsloth and what it needs, apart from the environment that the other tests run in."""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def function(tree: ast.AST, name: str, inside: str | None = None) -> ast.FunctionDef:
    """The function `name`, in class `inside` if that is given."""
    scope = tree
    if inside is not None:
        scope = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == inside)
    return next(node for node in ast.walk(scope) if isinstance(node, ast.FunctionDef) and node.name == name)


def parameters(found: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs)]


def flat(node: ast.AST) -> str:
    return re.sub(r"\s+", " ", ast.unparse(node))


def unsloth_packages() -> Path:
    """The folder with the pinned Unsloth and what it needs; skips where `make unsloth` has not been run."""
    if not (UNSLOTH / ".installed").is_file():
        pytest.skip("needs the real Unsloth; run `make unsloth`")
    return UNSLOTH
