"""Writes deploy/secrets/ once: passwords for deploy/compose.yaml, made up here and known to nobody else."""

import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("secrets")


def main() -> int:
    """Write the files, unless they are there."""
    if FOLDER.exists():
        return 0
    owner, service, grafana = (secrets.token_urlsafe(24) for _ in range(3))
    files = {
        "postgres_password": owner,
        "service_password": service,
        "grafana_password": grafana,
        "app_database_url": f"postgresql://service:{service}@postgres:5432/service",
        "app_database_owner_url": f"postgresql://owner:{owner}@postgres:5432/service",
    }
    # Nobody else gets into the folder. The files are for everybody: each is mounted alone, into containers whose users
    # are nobody of this machine.
    FOLDER.mkdir(mode=0o700)
    for name, text in files.items():
        path = FOLDER / name
        path.write_text(text, "utf-8")
        path.chmod(0o444)
    sys.stdout.write(f"{FOLDER}: passwords written; they are yours alone, and Git ignores them\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
