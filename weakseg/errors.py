"""The one exception for what a user can mend."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one sentence; shown without a traceback."""
