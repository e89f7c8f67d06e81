"""The one exception that speaks to users."""


class UserError(Exception):
    """Something that the user can mend: the message names the option, its value and the remedy.

    Commands print the message without a traceback and exit with status 2.
    """
