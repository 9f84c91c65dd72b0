package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// appleRoot is Apple's Enterprise Attestation Root CA, as published at
// https://www.apple.com/certificateauthority/private/.
const appleRoot = `-----BEGIN CERTIFICATE-----
MIICJDCCAamgAwIBAgIUQsDCuyxyfFxeq/bxpm8frF15hzcwCgYIKoZIzj0EAwMw
UTEtMCsGA1UEAwwkQXBwbGUgRW50ZXJwcmlzZSBBdHRlc3RhdGlvbiBSb290IENB
MRMwEQYDVQQKDApBcHBsZSBJbmMuMQswCQYDVQQGEwJVUzAeFw0yMjAyMTYxOTAx
MjRaFw00NzAyMjAwMDAwMDBaMFExLTArBgNVBAMMJEFwcGxlIEVudGVycHJpc2Ug
QXR0ZXN0YXRpb24gUm9vdCBDQTETMBEGA1UECgwKQXBwbGUgSW5jLjELMAkGA1UE
BhMCVVMwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAAT6Jigq+Ps9Q4CoT8t8q+UnOe2p
oT9nRaUfGhBTbgvqSGXPjVkbYlIWYO+1zPk2Sz9hQ5ozzmLrPmTBgEWRcHjA2/y7
7GEicps9wn2tj+G89l3INNDKETdxSPPIZpPj8VmjQjBAMA8GA1UdEwEB/wQFMAMB
Af8wHQYDVR0OBBYEFPNqTQGd8muBpV5du+UIbVbi+d66MA4GA1UdDwEB/wQEAwIB
BjAKBggqhkjOPQQDAwNpADBmAjEA1xpWmTLSpr1VH4f8Ypk8f3jMUKYz4QPG8mL5
8m9sX/b2+eXpTv2pH4RZgJjucnbcAjEA4ZSB6S45FlPuS/u4pTnzoz632rA+xW/T
ZwFEh9bhKjJ+5VQ9/Do1os0u3LEkgN/r
-----END CERTIFICATE-----
`

// appleRoots returns the authorities that Apple's attestations are checked against.
func (a *Authority) appleRoots() ([]*x509.Certificate, error) {
	if len(a.o.AppleRoots) > 0 {
		return a.o.AppleRoots, nil
	}
	block, _ := pem.Decode([]byte(appleRoot))
	if block == nil {
		return nil, errors.New("read Apple's attestation root: it is not PEM")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read Apple's attestation root: %w", err)
	}
	return []*x509.Certificate{root}, nil
}

// What Apple puts into the certificate that attests a key
// (https://support.apple.com/guide/deployment/dep28afbde6a): each as it is, without any
// ASN.1 around it. Apple leaves the first two out under user enrolment.
var (
	oidAppleSerial = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 9, 1}
	oidAppleUDID   = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 9, 2}
	oidAppleOS     = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 10, 2}
	oidAppleNonce  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 11, 1}
)

// verifyApple reads the certificate that attests: it is for the attested key itself. One
// without a nonce, which the draft allows for, could be of any day, and is refused.
func (q asked) verifyApple(leaf *x509.Certificate) (proof, error) {
	p := proof{key: leaf.PublicKey}
	fresh := errNonce
	for _, ext := range leaf.Extensions {
		var err error
		switch {
		case ext.Id.Equal(oidAppleNonce):
			fresh = madeFor(ext.Value, q.token)
		case ext.Id.Equal(oidAppleSerial):
			p.Serial, err = naming(ext.Value)
		case ext.Id.Equal(oidAppleUDID):
			p.UDID, err = naming(ext.Value)
		case ext.Id.Equal(oidAppleOS):
			p.OS, err = naming(ext.Value)
		}
		if err != nil {
			return proof{}, err
		}
	}
	return p, fresh
}
