"""`mlcicd`: what a person asks and decides from the command line.

Each command imports what it needs when it runs, so that the help and the quick ones stay quick.
"""


def main() -> None:
    """Run the command that the arguments name; exits 0, 1 (refused) or 2 (bad usage, or the environment)."""
    from mlcicd_assets.cli.app import app
    from resources.redaction_guard import guard_process

    guard_process()
    app()
