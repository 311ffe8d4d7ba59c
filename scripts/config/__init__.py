"""What a user sets in a config, and what the user is told."""

from .errors import explain_errors, first_cause
from .overrides import check_settings, compare_settings, overridden, unused_settings
from .rules import require, require_at_least, require_between, require_one_of
from .running import keep_text

__all__ = [
    "check_settings",
    "compare_settings",
    "explain_errors",
    "first_cause",
    "keep_text",
    "overridden",
    "require",
    "require_at_least",
    "require_between",
    "require_one_of",
    "unused_settings",
]
