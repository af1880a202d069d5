"""The library face: signing, verifying, forging and receiving webhooks from Python. `import webhookctl` leads here.

Loaded at first use, name by name. Must not know commands or pytest.
"""
