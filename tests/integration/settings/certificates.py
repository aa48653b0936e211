"""Certificate authorities and certificates of a test's own, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates that only those accept who were given `certificate`."""

    directory: Path
    name: str

    @property
    def certificate(self) -> Path:
        return self.directory / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        return self.directory / f"{self.name}.key"

    def issue(self, host: str) -> tuple[Path, Path]:
        """Certificate and key of a server of this name or address."""
        stem = self.directory / f"{self.name}-{host}"
        certificate, key, request = (stem.with_suffix(s) for s in (".crt", ".key", ".csr"))
        kind = "IP" if host[0].isdigit() else "DNS"
        extensions = stem.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={kind}:{host}\n")
        _openssl("req", *NEW_KEY, str(key), "-subj", f"/CN={host}", "-out", str(request))
        signer = ("-CA", str(self.certificate), "-CAkey", str(self.key), "-CAcreateserial")
        files = ("-in", str(request), "-out", str(certificate), "-extfile", str(extensions))
        _openssl("x509", "-req", *signer, "-days", "2", *files)
        return certificate, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")


def make_authority(directory: Path, name: str) -> Authority:
    authority = Authority(directory, name)
    subject = ("-x509", "-days", "2", "-subj", f"/CN={name}", "-out", str(authority.certificate))
    _openssl("req", *NEW_KEY, str(authority.key), *subject)
    return authority


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
