"""webhookctl: receive, verify, record, replay and forge webhooks, for any provider, offline, exact to the byte."""

__version__ = "0.1.0"
