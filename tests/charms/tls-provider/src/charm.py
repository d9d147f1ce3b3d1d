#!/usr/bin/env python3
"""A provider of certificates."""

from datetime import timedelta

import ops
from charmlibs.interfaces import tls_certificates as tls

ENDPOINT = "certificates"


class Provider(ops.CharmBase):
    """Signs requests as they come."""

    state = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self.state.set_default(key="", authority="", number=0)
        self.certificates = tls.TLSCertificatesProvidesV4(self, ENDPOINT)
        for event in (
            self.on[ENDPOINT].relation_changed,
            self.on.start,
            self.on.config_changed,
            self.on.update_status,
        ):
            framework.observe(event, self.answer)
        framework.observe(self.on.authority_action, self.tell)
        framework.observe(self.on.replace_authority_action, self.replace)
        framework.observe(self.on.issue_action, self.issue)

    def answer(self, _):
        """Signs what has no certificate yet."""
        if not self.state.authority:
            self.make_authority()
        for request in self.certificates.get_outstanding_certificate_requests():
            self.sign(request)
        self.unit.status = ops.ActiveStatus()

    def make_authority(self):
        """A new authority, RSA as most are."""
        key = tls.PrivateKey.generate()
        self.state.number += 1
        attributes = tls.CertificateRequestAttributes(
            common_name=f"test authority {self.state.number}"
        )
        authority = tls.Certificate.generate_self_signed_ca(attributes, key, timedelta(days=30))
        self.state.key, self.state.authority = str(key), str(authority)

    def sign(self, request):
        """Signs one request."""
        authority = tls.Certificate.from_string(self.state.authority)
        certificate = tls.Certificate.generate(
            csr=request.certificate_signing_request,
            ca=authority,
            ca_private_key=tls.PrivateKey.from_string(self.state.key),
            validity=timedelta(seconds=self.config["life"]),
        )
        self.certificates.set_relation_certificate(
            tls.ProviderCertificate(
                relation_id=request.relation_id,
                certificate=certificate,
                certificate_signing_request=request.certificate_signing_request,
                ca=authority,
                chain=[certificate, authority],
            )
        )

    def tell(self, event):
        """The authority's certificate."""
        event.set_results({"certificate": self.state.authority})

    def replace(self, event):
        """A new authority."""
        self.make_authority()
        self.tell(event)

    def issue(self, event):
        """Everything anew."""
        requests = self.certificates.get_certificate_requests()
        for request in requests:
            self.sign(request)
        event.set_results({"issued": len(requests)})


if __name__ == "__main__":
    ops.main(Provider)
