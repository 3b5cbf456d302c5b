"""What the groups of commands are for, apart from their modules: `outthink --help` shows it without importing them."""

from __future__ import annotations

HELP = {
    "laws": "Scaling laws: fit them with honest intervals, hold them against unseen runs, compare them, and plan with them.",
    "adapt": "Test-time adaptation: run a classifier on a stream that drifts, with a method that adapts it as it goes.",
}
