"""The gate: judges handlers before they ship. The service itself never imports it while it runs."""
