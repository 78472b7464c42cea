"""The board: runs watched, compared, started and talked to in a browser.

    python -m board.serve [--folder outputs] [--data FOLDER] [--port 7860] [--lang en|zh]
                            [--host ADDRESS --password-file FILE]

Everything it shows is read below `--folder` and the folders named with `--data`, everything it does is a command in a
process of its own: closing it ends no run, and a second board sees the same. It listens on this machine alone unless
`--host` says otherwise, which needs a password.
"""

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from configs.command import run_command
from configs.errors import ConfigError

LOOPBACK = "127.0.0.1"


def serve_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m board.serve", description="Runs in a browser.")
    parser.add_argument("--folder", type=Path, default=Path("outputs"), help="where runs are and go (outputs)")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="its data files may be read too; repeat it",
    )
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="the board's language")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on; another needs --password-file")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its first line is the password")
    return parser.parse_args(argv)


def password_of(file: Path | None) -> str | None:
    """The password in a file; None without one. Raises `ConfigError` for a file that is no secret."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--password-file {file}: can't be read: {error}") from None
    if not lines or len(lines[0].strip()) < 8:
        raise ConfigError(f"--password-file {file}: its first line is to be a password of 8 characters or more")
    if mode & 0o077:
        raise ConfigError(f"--password-file {file}: others can read it; chmod 600 {file}")
    return lines[0].strip()


def check_port(host: str, port: int) -> None:
    """Raise `ConfigError` where the port can't be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "out of range"
            raise ConfigError(f"--port {port}: can't listen on {host}: {reason}; name another --port") from None


def main(argv: list[str]) -> None:
    """Refuse what can be refused, then serve until Ctrl-C."""
    args = serve_arguments(argv)

    # 1. who may look, at what
    password = password_of(args.password_file)
    if args.host not in (LOOPBACK, "localhost") and password is None:
        raise ConfigError(f"--host {args.host}: whoever reaches it could start runs; give a --password-file")
    if args.folder.exists() and not args.folder.is_dir():
        raise ConfigError(f"--folder {args.folder}: is no folder")
    for folder in args.data:
        if not folder.is_dir():
            raise ConfigError(f"--data {folder}: is no folder")
    check_port(args.host, args.port)

    # 2. the rest imports Gradio, which is to tell nobody that it is there
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        from board.app import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError("the board needs Gradio: pip install 'mull-reasoning[board]'") from None

    args.folder.mkdir(parents=True, exist_ok=True)
    serve(args.folder, args.lang, args.host, args.port, password, args.data)


if __name__ == "__main__":
    run_command(main)
