package approver

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// The sizes of RSA keys, in bytes of the modulus: below the one it is weak, above the other
// slow to verify.
const (
	minModulus = 2048 / 8
	maxModulus = 8192 / 8
)

// algorithms are what a passkey may sign with: what phones and security keys do, and what
// Windows Hello does.
// Source: https://www.w3.org/TR/webauthn-3/#dom-publickeycredentialcreationoptions-pubkeycredparams
func algorithms() []protocol.CredentialParameter {
	return []protocol.CredentialParameter{
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
	}
}

// canonicalKey returns a COSE_Key in its one spelling, so that one key is never taken for
// two. It refuses keys of other algorithms than those asked for.
func canonicalKey(cose []byte) ([]byte, error) {
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		if webauthncose.COSEAlgorithmIdentifier(k.Algorithm) != webauthncose.AlgES256 || webauthncose.COSEEllipticCurve(k.Curve) != webauthncose.P256 {
			return nil, errors.New("public key: of its kind only ES256 on P-256 is taken")
		}
		return webauthncbor.Marshal(k)
	case webauthncose.OKPPublicKeyData:
		if webauthncose.COSEAlgorithmIdentifier(k.Algorithm) != webauthncose.AlgEdDSA {
			return nil, errors.New("public key: of its kind only EdDSA is taken")
		}
		return webauthncbor.Marshal(k)
	case webauthncose.RSAPublicKeyData:
		k.Modulus, k.Exponent = bytes.TrimLeft(k.Modulus, "\x00"), bytes.TrimLeft(k.Exponent, "\x00")
		if webauthncose.COSEAlgorithmIdentifier(k.Algorithm) != webauthncose.AlgRS256 || len(k.Modulus) < minModulus || len(k.Modulus) > maxModulus {
			return nil, errors.New("public key: of its kind only RS256 with 2048 to 8192 bits is taken")
		}
		return webauthncbor.Marshal(k)
	}
	return nil, fmt.Errorf("public key: %T is not taken", parsed)
}
