"""Who may look, and what is refused before anything is served."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from board import serve
from configs.errors import ConfigError

ROOT = Path(__file__).parents[2]


def refused(*arguments: str) -> str:
    with pytest.raises(ConfigError) as found:
        serve.main(list(arguments))
    assert "\n" not in str(found.value)
    return str(found.value)


def test_help_imports_no_library() -> None:
    code = "import runpy, sys; sys.argv = ['serve', '--help']\n"
    code += "try:\n    runpy.run_module('board.serve', run_name='__main__')\n"
    code += "finally:\n    print(sorted({'gradio', 'torch', 'pydantic', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


def test_other_addresses_need_a_password(tmp_path: Path) -> None:
    assert "give a --password-file" in refused("--host", "0.0.0.0", "--folder", str(tmp_path))


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [(None, 0, "can't be read"), ("", 0o600, "8 characters"), ("short\n", 0o600, "8 characters"),
     ("long enough\n", 0o644, "chmod 600"), (b"\xff\xfe", 0o600, "can't be read")],
)  # fmt: skip
def test_password_file_is_a_secret(tmp_path: Path, content: str | bytes | None, mode: int, message: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
    assert message in refused("--password-file", str(file), "--folder", str(tmp_path))


def test_password_is_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\nsecond line\n")
    file.chmod(0o600)
    assert serve.password_of(file) == "correct horse"


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port}: can't listen on 127.0.0.1" in refused("--port", port, "--folder", str(tmp_path))
    assert "--port 99999" in refused("--port", "99999", "--folder", str(tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    assert "is no folder" in refused("--folder", str(tmp_path / "x"))


def test_folder_with_data_is_there(tmp_path: Path) -> None:
    assert "--data" in refused("--folder", str(tmp_path), "--data", str(tmp_path / "none"))
