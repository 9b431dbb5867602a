"""Settings of the service, each from an environment variable `RECSVC_…`. The README lists them; a test compares."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from recsvc.errors import InvalidRequest


class Settings(BaseSettings):
    """What an operator may set. Every field has a default that runs on one machine without set-up."""

    model_config = SettingsConfigDict(env_prefix="RECSVC_", extra="ignore", env_ignore_empty=True)

    home: Path = Field(Path(".recsvc"), description="Folder of the embedded database, artifacts and sockets.")
    database_url: str = Field("", description="postgresql://… or sqlite:///…; empty: SQLite in the home folder.")
    database_timeout_ms: int = Field(
        80, ge=5, le=5000, description="Longest wait of a list for Postgres before it does without."
    )
    redis_url: str = Field(
        "", description="redis://, rediss:// or unix://; empty: an embedded server; `off`: no cache."
    )
    artifacts: str = Field(
        "", description="Folder of published models, or a URL as s3://bucket/path; empty: `artifacts` in the home."
    )
    exposures: str = Field(
        "", description="Folder that records which lists were returned; empty: `exposures` in the home; `off`: none."
    )
    exposures_days: int = Field(90, ge=1, le=3650, description="How long that record is kept.")
    host: str = Field("127.0.0.1", description="Address to bind; another than loopback needs an API key to exist.")
    port: int = Field(8000, ge=1, le=65535, description="Port to bind.")
    workers: int = Field(min(os.cpu_count() or 1, 8), ge=1, le=64, description="gunicorn worker processes.")
    threads: int = Field(8, ge=1, le=128, description="Threads in each worker.")
    drain_seconds: float = Field(
        5, ge=0, le=600, description="How long everything is still answered after SIGTERM, /readyz with 503."
    )
    pages: bool = Field(False, description="1 serves the page `/` and `/docs`, on loopback only. For demonstrations.")
    admin_key_file: Path | None = Field(None, description="File holding one key that has every scope; re-read.")
    rate_per_second: int = Field(2000, ge=0, description="Requests a second of a key that says nothing else; 0: any.")
    log_sample: float = Field(0.01, ge=0, le=1, description="Share of answers without error that get a log line.")
    cache_seconds: int = Field(600, ge=1, le=86400, description="How long a finished answer may stay in Redis.")
    claim_seconds: int = Field(
        86_400, ge=1, le=31_536_000, description="How long a reservation of an offer holds before it lets go by itself."
    )
    likely_buyer: float = Field(
        0.5, ge=0, le=1, description="Chance of an order within 7 days from which on discounts come last."
    )
    redis_timeout_ms: int = Field(20, ge=1, le=5000, description="Longest wait for Redis before computing instead.")
    poll_ms: int = Field(250, ge=20, le=10000, description="How often each worker looks for a new model or catalogue.")

    @property
    def sql_url(self) -> str:
        """The database URL in use."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'recsvc.db'}"

    @property
    def artifact_root(self) -> Path:
        """The folder of published models in use; of a URL the folder that mirrors it."""
        if self.artifact_url:
            name = hashlib.blake2b(self.artifact_url.encode(), digest_size=6).hexdigest()
            return self.home.absolute() / f"artifacts-{name}"
        return Path(self.artifacts) if self.artifacts else self.home.absolute() / "artifacts"

    @property
    def artifact_url(self) -> str | None:
        """Where published models are kept when that is no local path."""
        return self.artifacts.rstrip("/") if "://" in self.artifacts else None

    @property
    def exposures_folder(self) -> Path | None:
        """The folder of exposures in use; None when none are recorded."""
        if self.exposures == "off":
            return None
        return Path(self.exposures).absolute() if self.exposures else self.home.absolute() / "exposures"


def load() -> Settings:
    """Return the settings of the environment.

    Raises:
        InvalidRequest: names the variable and what was wrong with it.
    """
    try:
        return Settings()
    except ValidationError as error:
        told = [
            f"RECSVC_{str(one['loc'][0]).upper()}: {one['input']!r}, {one['msg'].lower()}" for one in error.errors()
        ]
        raise InvalidRequest("; ".join(told)) from None


def configs_folder() -> Path:
    """Return the folder of configuration files: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"
