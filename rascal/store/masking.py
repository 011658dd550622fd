"""Secrets in plans, when they are shown or written for other programs."""

from __future__ import annotations

from rascal.load.masking import mask_data as masked

__all__ = ["masked"]
