"""What to install for what the package alone cannot do."""


def missing(what: str, extra: str) -> ImportError:
    """The error for a package that is not there: what needs it, and the extra that has it.
    The SDK is in no index, so that it is installed from the project's folder."""
    return ImportError(f"{what}: pip install './protocol/sdk/python[{extra}]' in a copy of Trialmesh's repository")
