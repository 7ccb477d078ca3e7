"""`onefold storage`: the ground that the lake stands on."""

from __future__ import annotations

from typing import Annotated

import typer

from onefold.terminal import out, print_json

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


@app.command()
def init(
    quota: Annotated[
        str | None,
        typer.Option(
            help="Most that the bucket may hold: 500GB, 2TiB, bytes; 0 for no bound. Else ONEFOLD_STORAGE_QUOTA, "
            "else what is set stays."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make the lake's bucket, its rules and the platform's own user; done again, nothing changes."""
    from onefold_storage.buckets import prepare
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    bound = settings.storage_quota if quota is None else quota
    done = prepare(settings, size_of(bound) if bound else None)
    if json:
        print_json(
            {
                "bucket": done.name,
                "endpoint": done.endpoint,
                "user": done.user,
                "policy": done.policy,
                "versioning": done.versioning,
                "quota": done.quota,
                "changed": list(done.changed),
                "warning": done.warning,
            }
        )
        return
    what = f"made or set: {', '.join(done.changed)}" if done.changed else "all is there already"
    most = f"at most {done.quota:,} bytes" if done.quota else "no quota"
    out.print(f"{done.name} at {done.endpoint}, for the user {done.user} alone; {most}; {what}")
    if done.warning:
        out.print(f"careful: {done.warning}")


def size_of(text: str) -> int:
    """Bytes of `500GB`, `2TiB` or a plain number.

    Raises:
        BadInput: it is none of these.
    """
    import re

    from onefold_storage.errors import BadInput

    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?\s*", text, re.IGNORECASE)
    if not found or (found[3] and not found[2]):
        raise BadInput(f"{text}: expected a size such as 500GB, 2TiB or 0")
    unit = found[2].upper()
    scale = 1 << 10 * list(_UNITS).index(unit) if found[3] else _UNITS[unit]
    return int(float(found[1]) * scale)
