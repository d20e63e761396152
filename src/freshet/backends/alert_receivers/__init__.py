"""Receivers of alerts: Alertmanager, a webhook, mail."""
