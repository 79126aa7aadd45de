"""What lives as long as the service: resources that open in order and close in reverse, and the drain before they close."""

from fastness.lifespan.drain import CurrentDrain, Drain
from fastness.lifespan.resources import CloseError, Managed, Resource, ResourceError, Resources, StartupError

__all__ = ["CloseError", "CurrentDrain", "Drain", "Managed", "Resource", "ResourceError", "Resources", "StartupError"]
