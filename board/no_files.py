"""What Gradio offers beside its pages and the board does not: files, and addresses elsewhere fetched through it."""

import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

REFUSED = re.compile(r"/+(gradio_api/+)?(file[=/]|proxy=)")


class NoFiles:
    """Middleware: a request for one of these gets 403. What was dropped is read by the board, and never served."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "http" and REFUSED.match(scope["path"]):
            await PlainTextResponse("The board serves no file.", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
