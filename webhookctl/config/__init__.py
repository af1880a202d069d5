"""Configuration and secrets: environment, project file and user file merged once, each value with its origin.

The only room that reads the environment and config files. Must not know the store, schemes or commands.
"""

from webhookctl.config.access import github_access
from webhookctl.config.document import find_project_root
from webhookctl.config.folders import relay_data_folder
from webhookctl.config.merge import load
from webhookctl.config.secret import every_secret, read_secret, secrets_for, verify_tokens
from webhookctl.config.settings import Config, Route, SecretSource, Setting, parse_duration, parse_size
from webhookctl.config.terminal import (
    environment_secret,
    forces_color,
    inherited_environment,
    whole_environment,
)

__all__ = [
    "Config",
    "Route",
    "SecretSource",
    "Setting",
    "environment_secret",
    "every_secret",
    "find_project_root",
    "forces_color",
    "github_access",
    "inherited_environment",
    "load",
    "parse_duration",
    "parse_size",
    "read_secret",
    "relay_data_folder",
    "secrets_for",
    "verify_tokens",
    "whole_environment",
]
