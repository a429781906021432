"""The command line. `main` is the entry point; `app.py` lists the commands, one file each."""


def main() -> None:
    """Run `beliefmod` with the process's arguments; exits with 0, 1, 2 (user's mistake) or 130 (Ctrl-C)."""
    from beliefmod.cli.app import app

    app(prog_name="beliefmod")
