"""The catalogue of forgeable events: which there are, and one of them built as the provider would send it.

Knows nothing of signatures, sending, files of the user, clocks or randomness: seed and time are passed in.
"""

from webhookctl.catalogue.forge import Forged, build
from webhookctl.catalogue.library import accepts_any_event, names, providers, resolve
from webhookctl.catalogue.template import Template

__all__ = ["Forged", "Template", "accepts_any_event", "build", "names", "providers", "resolve"]
