"""Identity of a trained network: its configuration, and a digest of that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import shared  # noqa: F401

from learned.config import Config, to_json

#: Keys of the configuration that do not affect the trained network.
ELSEWHERE = {
    "data": ("cache", "licences", "workers"),
    "train": ("output", "affine_from", "threads", "devices", "checkpoint_every", "precision"),
}


def described(config: Config) -> dict[str, Any]:
    """Configuration without keys that do not affect the result, and with file names instead of paths."""
    content: dict[str, Any] = json.loads(to_json(config))
    for section, fields in ELSEWHERE.items():
        for field in fields:
            del content[section][field]
    for field in ("manifest", "labels"):
        if content["data"][field] is not None:
            content["data"][field] = Path(content["data"][field]).name
    return content


def digest(content: Any) -> str:
    """First twelve hexadecimal digits of the SHA-256 of the JSON text."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
