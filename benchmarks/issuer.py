"""The token issuer that both armoured contestants trust: an Ed25519 key of this run.

``Issuer.create`` writes the files and signs the token; ``python issuer.py PORT FOLDER`` serves the key set,
which the service fetches, while the usual stack is given the key as a file.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://issuer.bench.invalid"
AUDIENCE = "bench"
KEY_ID = "bench"
LIFETIME = 3_600
"""Seconds that the token is good; longer than any run."""

_PUBLIC_KEY, _KEY_SET, _CERTIFICATE, _TLS_KEY = (
    "public-key.pem",
    "jwks.json",
    "certificate.pem",
    "tls-key.pem",
)


@dataclass(frozen=True)
class Issuer:
    """What a run needs of its issuer.

    Attributes:
        folder: where its files are.
        token: of a customer; it holds for ``LIFETIME`` seconds.
    """

    folder: Path
    token: str

    @property
    def public_key(self) -> Path:
        """The key that verifies the token, PEM."""
        return self.folder / _PUBLIC_KEY

    @classmethod
    def create(cls, folder: Path) -> Issuer:
        """Draw the keys, write the files and sign a token."""
        folder.mkdir(mode=0o700)
        key = Ed25519PrivateKey.generate()
        public = key.public_key()
        (folder / _PUBLIC_KEY).write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        x = _base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
        published = {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": KEY_ID, "use": "sig", "alg": "EdDSA"}
        (folder / _KEY_SET).write_text(json.dumps({"keys": [published]}))
        return cls(folder, _token(key))


def _token(key: Ed25519PrivateKey) -> str:
    now = int(time.time())
    header = {"alg": "EdDSA", "typ": "JWT", "kid": KEY_ID}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "roles": ["customer"], "iat": now, "nbf": now}
    claims["exp"] = now + LIFETIME
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{_base64url(key.sign(signed.encode()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(SimpleHTTPRequestHandler):
    """Serves the key set, and nothing else of the folder."""

    def do_GET(self) -> None:
        """Answer the key set."""
        self.path = f"/{_KEY_SET}"
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay silent."""


def main() -> None:
    """Serve until killed."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    server.serve_forever()


if __name__ == "__main__":
    main()
