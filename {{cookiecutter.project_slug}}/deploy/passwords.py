"""Writes deploy/.env once: passwords for deploy/compose.yaml, made up here and known to nobody else."""

import secrets
import sys
from pathlib import Path

FILE = Path(__file__).with_name(".env")


def main() -> int:
    """Write the file, unless it is there."""
    if FILE.exists():
        return 0
    owner, service, grafana = (secrets.token_urlsafe(24) for _ in range(3))
    lines = (
        f"POSTGRES_PASSWORD={owner}",
        f"SERVICE_PASSWORD={service}",
        f"GRAFANA_PASSWORD={grafana}",
        f"APP_DATABASE_URL=postgresql://service:{service}@postgres:5432/service",
        f"APP_DATABASE_OWNER_URL=postgresql://owner:{owner}@postgres:5432/service",
    )
    FILE.touch(mode=0o600)
    FILE.write_text("\n".join(lines) + "\n", "utf-8")
    sys.stdout.write(f"{FILE}: passwords written; it is yours alone, and Git ignores it\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
