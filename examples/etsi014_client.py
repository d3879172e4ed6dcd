#!/usr/bin/env python3
"""An ETSI GS QKD 014 client in sixty lines of Python's own library: two applications get the same key.

    keystill certs init && keystill certs server kme-a --host localhost
    keystill certs client alice && keystill certs client bob
    keystill serve --config kme.toml --demo 10 &      # with the pair alice → bob at kme-a
    python3 etsi014_client.py https://localhost:8443 certs alice bob
"""

import base64
import http.client
import json
import ssl
import sys
import urllib.parse


class Kme:
    """A key management entity, as one application sees it."""

    def __init__(self, url, certificates, sae):
        parts = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=f"{certificates}/ca.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(f"{certificates}/{sae}.pem", f"{certificates}/{sae}.key")
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)

    def ask(self, path, body=None):
        path = "/api/v1/keys/" + path
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        response = self.connection.getresponse()
        answer = json.load(response)
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {answer['message']}")
        return answer

    def status(self, slave):
        return self.ask(f"{urllib.parse.quote(slave, safe='')}/status")

    def new_keys(self, slave, number=1, size=256):
        keys = self.ask(f"{urllib.parse.quote(slave, safe='')}/enc_keys", {"number": number, "size": size})
        return {key["key_ID"]: base64.b64decode(key["key"], validate=True) for key in keys["keys"]}

    def keys_by_id(self, master, ids):
        body = {"key_IDs": [{"key_ID": one} for one in ids]}
        keys = self.ask(f"{urllib.parse.quote(master, safe='')}/dec_keys", body)
        return {key["key_ID"]: base64.b64decode(key["key"], validate=True) for key in keys["keys"]}


def main(url, certificates, master, slave, slave_url=None):
    alice, bob = Kme(url, certificates, master), Kme(slave_url or url, certificates, slave)
    print("stored:", alice.status(slave)["stored_key_count"], "keys")
    keys = alice.new_keys(slave, number=3, size=512)
    copies = bob.keys_by_id(master, list(keys))
    assert keys == copies, "both hold the same keys"
    print("both applications hold the same", len(keys), "keys:", *keys)
    try:
        bob.keys_by_id(master, list(keys))
    except RuntimeError as refused:
        print("asked again:", refused)
    else:
        raise AssertionError("a key is delivered once")


if __name__ == "__main__":
    main(*sys.argv[1:])
