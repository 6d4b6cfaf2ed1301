"""Jobs: what is done after the answer. Each module has ``jobs = Jobs()`` and functions that say ``@jobs.on("NAME")``.

A handler has one done by ``await outbox.add("NAME", payload)``; what it may reach, and for how long, stands in
policy.toml: ``[jobs."NAME"]``.
"""
