"""Lets Maven trust what the system trusts.

Java keeps certificates of its own. Behind a proxy with a certificate of its own the system's bundle
is often right where Java's store is not, so Maven is given a store made from the bundle.
"""

import os
import ssl
from pathlib import Path

from tests.tools.report import ROOT, WORK, Failure, run_logged, say

STORE = WORK / "trust.jks"
PASSWORD = "changeit"  # Java's own default: the store holds nothing secret


def maven_options():
    """MAVEN_OPTS for a Maven that trusts the system's bundle, or what the user set."""
    options = os.environ.get("MAVEN_OPTS", "")
    bundle = Path(os.environ.get("SSL_CERT_FILE") or system_bundle())
    if "javax.net.ssl.trustStore" in options or not bundle.is_file():
        return options
    if not STORE.exists() or STORE.stat().st_mtime < bundle.stat().st_mtime:
        program = ROOT / "tests" / "tools" / "TrustStore.java"
        try:
            run_logged("java trust store", ["java", program, bundle, STORE, PASSWORD])
        except Failure as failure:
            say(f"Maven trusts only what Java does: {failure}")
            return options
    store = f"-Djavax.net.ssl.trustStore={STORE} -Djavax.net.ssl.trustStorePassword={PASSWORD}"
    return f"{options} {store}".strip()


def system_bundle():
    """Where OpenSSL, or failing that Debian, keeps the certificates of authorities."""
    return ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
