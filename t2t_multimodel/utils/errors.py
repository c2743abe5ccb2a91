"""The errors this package raises on purpose. A command prints each as one line and ends with code 2."""


class MultiModelError(Exception):
    """The base of all errors of this package. The message is one line: what is wrong, and what would be right."""


class UserError(MultiModelError):
    """A mistake in a command's flags."""


class DataError(MultiModelError):
    """Raw data that is missing or damaged; the message names the file or the record and says what would be right.

    A generator raises it from inside its loop only for what cannot be skipped. A damaged single example is yielded as
    `{"error": DataError(...)}`, so that `--on_error=skip` can go on behind it.
    """


class UnknownNameError(MultiModelError, KeyError):
    """A name that nothing is registered under; the message lists what is near and what exists."""

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerError(MultiModelError):
    """Worker processes cannot be had, or ended before their work was done; the message says what can be done."""


class NotFinite(MultiModelError):
    """Loss or gradient were not finite for many steps in a row; the message names the problem and the step."""
