package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// signature is how a kind of key signs.
type signature struct {
	hash       crypto.Hash
	algorithm  x509.SignatureAlgorithm
	identifier pkix.AlgorithmIdentifier
}

// usualSignature returns how crypto/x509 would sign with such a key (identifiers: RFC 4055
// section 5, where RSA has a NULL parameter, and RFC 5758 section 3.2, where ECDSA has none).
func usualSignature(key crypto.PublicKey) (signature, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return signature{crypto.SHA256, x509.SHA256WithRSA, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}}, nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return signature{crypto.SHA384, x509.ECDSAWithSHA384, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}}, nil
		}
		return signature{crypto.SHA256, x509.ECDSAWithSHA256, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}}, nil
	}
	return signature{}, fmt.Errorf("a key of type %T signs nothing here", key)
}

// signBytes signs b with the issuer's key.
func (is *issuer) signBytes(b []byte) (signature, []byte, error) {
	s, err := usualSignature(is.key.Public())
	if err != nil {
		return s, nil, err
	}
	digest := s.hash.New()
	digest.Write(b)
	out, err := is.key.Sign(rand.Reader, digest.Sum(nil), s.hash)
	return s, out, err
}
