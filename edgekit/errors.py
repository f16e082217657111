"""The errors a user can meet. Each message names the file or field, what is wrong, and what to do next."""

from __future__ import annotations


class EdgekitError(Exception):
    """Base of every error that edgekit raises on purpose; catching it catches all of them."""


class InputError(EdgekitError, ValueError):
    """An argument, a file or a setting given by the caller cannot be used (the CLI exits with 2)."""


class ImageError(InputError):
    """An image cannot be read or decoded; the message starts with the file's name, or ``<bytes>``."""


class TextError(InputError):
    """A text, label or template cannot be used."""


class BundleError(InputError):
    """A bundle is damaged, malformed, of a newer schema, or tries to reach outside itself."""


class ConversionError(EdgekitError):
    """A source was understood but could not be turned into a bundle."""


class UnsupportedModelError(ConversionError):
    """The architecture, file or setting is not supported; the message names it."""


class FetchError(EdgekitError):
    """A set of data could not be fetched, or what came is not what was expected; nothing of it was kept."""


class MissingDependencyError(EdgekitError, ImportError):
    """An optional package is absent; the message names the extra that installs it."""


class RuntimeUnavailableError(EdgekitError):
    """No runtime on this machine can open what was asked for; the message lists each refusal."""


class ExecutionError(EdgekitError):
    """A runtime could not open or run a model; the message names the runtime and the artifact."""


class PlacementError(ExecutionError):
    """A device or provider that was asked for did not get the work."""


class GoldenError(EdgekitError):
    """Outputs on this device leave the tolerance around the bundle's golden vectors."""


def named(kind: str, message: str, otherwise: type[EdgekitError]) -> EdgekitError:
    """Return the error that another process named.

    Args:
        kind: name of a type in this module.
        message: for the user.
        otherwise: the type where `kind` is none of edgekit's.

    Returns:
        The error, to be raised.
    """
    found = globals().get(kind)
    if isinstance(found, type) and issubclass(found, EdgekitError):
        return found(message)
    return otherwise(message)
