"""TLS for the control port: certificate and key from files, checked before anything listens."""

from __future__ import annotations

from typing import Any

from rascal.errors import ConfigError


def context_factory(certificate: str, key: str | None) -> Any:
    """What Twisted needs to speak TLS as a server. Raises ConfigError."""
    from OpenSSL import SSL, crypto
    from twisted.internet.ssl import CertificateOptions, TLSVersion

    chain = [
        crypto.X509.from_cryptography(one)
        for one in _certificates(_read(certificate, _CERTIFICATE))
    ]
    name = _KEY if key else _CERTIFICATE
    try:
        private = crypto.load_privatekey(
            crypto.FILETYPE_PEM, _read(key or certificate, name), _no_passphrase
        )
    except (crypto.Error, ValueError, TypeError):
        advice = "" if key else "; name its file in control_key"
        raise _problem(name, key or certificate, f"holds no key that can be read{advice}") from None
    options = CertificateOptions(
        privateKey=private,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    try:
        options.getContext().check_privatekey()
    except SSL.Error:
        raise _problem(name, key or certificate, "is not the key of the certificate") from None
    return options


_CERTIFICATE = "control_certificate"
_KEY = "control_key"


def _certificates(data: bytes) -> list[Any]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return list(load_pem_x509_certificates(data))
    except ValueError:
        raise _problem(_CERTIFICATE, "", "the file holds no certificate in PEM") from None


def _read(path: str, option: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _problem(option, path, f"cannot be read: {reason}") from error


def _problem(option: str, path: str, text: str) -> ConfigError:
    where = f"'{path}' " if path else ""
    return ConfigError(
        f"[rascal] {option}: {where}{text}",
        section="rascal",
        option=option,
        value=path,
        code="file",
    )


def _no_passphrase(*_: Any) -> bytes:
    return b""
