"""What decides which network comes out of a training, and a short name of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import shared  # noqa: F401

from learned.config import Config, to_json

#: What says nothing about the network that comes out.
ELSEWHERE = {
    "data": ("cache", "licences", "workers"),
    "train": ("output", "affine_from", "threads", "devices", "checkpoint_every", "precision"),
}


def described(config: Config) -> dict[str, Any]:
    """A configuration without what says nothing about its result; of paths the names."""
    content: dict[str, Any] = json.loads(to_json(config))
    for section, fields in ELSEWHERE.items():
        for field in fields:
            del content[section][field]
    for field in ("manifest", "labels"):
        if content["data"][field] is not None:
            content["data"][field] = Path(content["data"][field]).name
    return content


def digest(content: Any) -> str:
    """Twelve hexadecimal digits of content that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
