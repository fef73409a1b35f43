"""Who does it and why: options of every command whose answer people read later."""

from typing import Annotated

import typer


def said(option: typer.CallbackParam, value: str) -> str:
    """The value without blanks around it; raises typer.BadParameter where nothing is left."""
    if not value.strip():
        raise typer.BadParameter(f"say it: an empty {option.opts[0]} tells nobody anything")
    return value.strip()


By = Annotated[str, typer.Option("--by", help="Who: a name or an e-mail address.", callback=said)]
Reason = Annotated[str, typer.Option("--reason", help="Why.", callback=said)]
