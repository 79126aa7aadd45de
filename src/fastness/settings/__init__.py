"""Settings: one frozen class, read from the environment and secret files, that refuses what production must not run with."""

from fastness.settings.base import Environment, ServiceSettings
from fastness.settings.errors import InvalidSettings
from fastness.settings.fields import Setting
from fastness.settings.secrets import DevelopmentDefault, Secret

__all__ = ["DevelopmentDefault", "Environment", "InvalidSettings", "Secret", "ServiceSettings", "Setting"]
