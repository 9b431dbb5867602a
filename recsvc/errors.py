"""What can go wrong, as one family. The web turns each into one status; the command line into one exit code.

RecsvcError
├── InvalidRequest      the caller sent something we cannot read          400
├── Unauthorized        no key, or not a live one                         401
├── Forbidden           the key lacks the scope                           403
├── NotFound            a path, placement or item we do not have          404
├── MethodNotAllowed    the path exists, the method does not              405
├── Conflict            the same idempotency key with another body        409
├── Exhausted           the offer, or the customer's share of it, is used up 409
├── TooLarge            the body is over the limit                        413
├── Unsupported         a media type other than JSON                      415
├── TooMany             the key's rate is used up                         429
├── Unavailable         the store cannot be written, or read, now         503
└── ArtifactInvalid     an artifact does not match its manifest           (never reaches a caller)

An unknown customer is not an error: it gets the list of a new customer.
"""

from __future__ import annotations

from typing import ClassVar


class RecsvcError(Exception):
    """The family. `fields` maps the path of a field to what was wrong with it."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or {}


class InvalidRequest(RecsvcError):
    """The caller sent something that cannot be read; the message names the field and what was wanted."""

    status = 400
    title = "Invalid request"


class Unauthorized(RecsvcError):
    """No key was sent, or it is not a live one."""

    status = 401
    title = "A live API key is needed"


class Forbidden(RecsvcError):
    """The key is live and lacks the scope; the message names the scope that is needed."""

    status = 403
    title = "The key lacks the scope"


class NotFound(RecsvcError):
    """The path, placement or item does not exist here."""

    status = 404
    title = "Not found"


class MethodNotAllowed(RecsvcError):
    """The path exists, the method does not."""

    status = 405
    title = "Method not allowed"


class Conflict(RecsvcError):
    """The request contradicts one that was accepted before."""

    status = 409
    title = "Conflict"


class Exhausted(RecsvcError):
    """An offer is used up: its budget, its capacity, or what one customer may have of it. The message names which."""

    status = 409
    title = "The offer is used up"


class TooLarge(RecsvcError):
    """The body is over the limit."""

    status = 413
    title = "Body too large"


class Unsupported(RecsvcError):
    """The body is not JSON by its content type."""

    status = 415
    title = "Unsupported media type"


class TooMany(RecsvcError):
    """The key's rate is used up. `wait_seconds`: until there may be room again."""

    status = 429
    title = "Too many requests"

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class Unavailable(RecsvcError):
    """The store cannot be asked now, and nothing was kept of a write; the caller should send it again."""

    status = 503
    title = "Not available now"


class ArtifactInvalid(RecsvcError):
    """An artifact does not match its manifest. The reader keeps what it has."""
