"""Who sits at the command line, for the audit trail."""

from __future__ import annotations

import os
import pwd


def account_name() -> str:
    """The name of the account that runs this process; in a container that has none for it, its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
