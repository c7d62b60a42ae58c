#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other side of jwcrypto_test: makes and checks tokens with jwcrypto.

  jwcrypto_peer.py have   exits with 0 if jwcrypto is there
  jwcrypto_peer.py make   prints one JSON line for each algorithm:
                          {"alg": …, "jwks": …, "token": …}
  jwcrypto_peer.py check  reads such lines, prints "good" or "bad" for each
"""

import json
import sys

from jwcrypto import jwk, jws

KEYS = {
    "HS256": dict(kty="oct", size=256),
    "RS256": dict(kty="RSA", size=2048),
    "PS256": dict(kty="RSA", size=2048),
    "ES256": dict(kty="EC", crv="P-256"),
    "EdDSA": dict(kty="OKP", crv="Ed25519"),
}


def make():
    for algorithm, parameters in KEYS.items():
        key = jwk.JWK.generate(kid="peer-" + algorithm, **parameters)
        token = jws.JWS(json.dumps(
            {"sub": "naïve ☃", "exp": 4102444800, "roles": ["a", "b"]}))
        token.add_signature(
            key, algorithm,
            json.dumps({"alg": algorithm, "kid": "peer-" + algorithm}))
        exported = key.export(private_key=algorithm == "HS256", as_dict=True)
        print(json.dumps({
            "alg": algorithm,
            "jwks": {"keys": [exported]},
            "token": token.serialize(compact=True)
        }))


def check():
    for line in sys.stdin:
        case = json.loads(line)
        keys = jwk.JWKSet.from_json(json.dumps(case["jwks"]))
        token = jws.JWS()
        token.allowed_algs = [case["alg"]]
        try:
            token.deserialize(case["token"])
            token.verify(keys.get_key(case["kid"]))
            json.loads(token.payload)
            print("good")
        except (jws.InvalidJWSSignature, jws.InvalidJWSObject, ValueError):
            print("bad")


if __name__ == "__main__":
    {"have": lambda: None, "make": make, "check": check}[sys.argv[1]]()
