"""Commands about what a store demands: policy show, policy require-reason."""

from __future__ import annotations

from typing import Annotated

import typer

from lineagelog.cli.app import Call, command


@command(
    "policy show",
    examples=("prov policy show", "prov policy show --as-of 8 --json"),
    json="one object: `require_reason`.",
    as_of=True,
)
def show(call: Call) -> None:
    """Say what the store demands."""
    with call.store() as store:
        required = store.policy.require_reason
    if call.out.json:
        call.out.object({"require_reason": required})
    else:
        call.out.line(f"a reason for each change and deletion: {'required' if required else 'not required'}")


@command(
    "policy require-reason",
    examples=(
        'prov policy require-reason --reason "as the quality manual says"',
        'prov policy require-reason --off --reason "the study is closed"',
    ),
    json="one object: `require_reason`.",
    changes=True,
)
def require_reason(
    call: Call, off: Annotated[bool, typer.Option("--off", help="Demand none any more.")] = False
) -> None:
    """Demand a reason for each change and deletion.

    From then on who changes or deletes something without saying why is refused, and the attempt goes on record. What only adds,
    such as saving something new or putting a label on, needs no reason.
    """
    with call.store() as store:
        store.policy.set_require_reason(not off)
        if call.out.json:
            call.out.object({"require_reason": not off})
        else:
            call.out.say(
                f"{store.name} demands {'no reasons any more' if off else 'a reason for each change and deletion'}"
            )
