# SPDX-License-Identifier: Apache-2.0
"""What a call can fail with, beside the caller's own mistakes (TypeError, ValueError, OSError)."""

from __future__ import annotations


class FacenetError(Exception):
    """Any of those below."""


class RefusedError(FacenetError):
    """The server said no."""

    def __init__(self, text: str, status: int, code: str, request_id: str) -> None:
        super().__init__(text, status, code, request_id)
        #: The HTTP status, 400...599.
        self.status = status
        #: facenetd's stable code ("face_not_found"); "" when something else answered, a proxy say.
        self.code = code
        #: To be looked up in the server's log; "" when there is none.
        self.request_id = request_id

    def __str__(self) -> str:
        return str(self.args[0])


class UnreachableError(FacenetError):
    """No connection, it broke, or its certificate is not trusted; after every retry."""


class DeadlineError(FacenetError, TimeoutError):
    """No answer in time."""


class BadAnswerError(FacenetError):
    """What came is not an answer of facenetd."""
