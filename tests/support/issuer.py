"""An identity provider: it signs tokens, and publishes the key to check them with."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec


class Issuer:
    """`name` is the `iss` of its tokens, `url` where its keys are."""

    name = "https://login.example.com"
    kid = "key-1"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        keys = json.dumps({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "ES256"}]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(keys)))
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, *, key: Any = None, kid: str | None = kid, **claims: Any) -> str:
        """With these claims, besides the usual; None leaves one out."""
        all_claims = {"iss": self.name, "iat": int(time.time()), "exp": time.time() + 600, **claims}
        given = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(given, key or self._key, "ES256", {"kid": kid} if kid else None)
