package apns

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// topicPrefix begins the topic of every MDM push certificate.
const topicPrefix = "com.apple.mgmt."

// oidUID is the userId attribute (RFC 4519 §2.39), in which Apple puts the topic.
var oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// Certificate is an MDM push certificate with its key, checked by Import.
type Certificate struct {
	Topic     string
	Serial    string // hexadecimal
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	TLS       tls.Certificate
	CertPEM   []byte // the certificate alone
	KeyPEM    []byte // PKCS#8; secret
}

// Import checks a certificate that Apple issued and the key that its request was made
// with. previous is the topic in use, or empty: a certificate of another topic is
// refused, because every enrolled device would be lost. Errors are *ward.Error, and all
// mistakes are in its Details.
func Import(certPEM, keyPEM []byte, previous string, now time.Time) (Certificate, error) {
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return Certificate{}, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return Certificate{}, err
	}
	var wrong []string
	if !samePublicKey(cert.PublicKey, key.Public()) {
		wrong = append(wrong, "The private key is not the one that this certificate was requested with.")
	}
	topic, ok := Topic(cert)
	if !ok {
		wrong = append(wrong, "It is not an MDM push certificate: its subject has no UID that begins with "+topicPrefix)
	}
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(cert.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	}) {
		wrong = append(wrong, "It may not be used as a client certificate (extended key usage).")
	}
	if now.After(cert.NotAfter) {
		wrong = append(wrong, "It expired on "+day(cert.NotAfter)+".")
	}
	if now.Before(cert.NotBefore) {
		wrong = append(wrong, "It is not valid before "+day(cert.NotBefore)+"; is this machine's clock right?")
	}
	if len(wrong) > 0 {
		return Certificate{}, &ward.Error{Kind: ward.Invalid, Message: "This push certificate cannot be used.", Details: wrong}
	}
	if previous != "" && topic != previous {
		return Certificate{}, ward.Errorf(ward.Conflict,
			"This certificate has the topic %s, but the devices are enrolled under %s and could never be reached again. "+
				"Renew the old certificate at https://identity.apple.com/pushcert with the Apple Account that made it, instead of creating a new one.",
			topic, previous)
	}
	return newCertificate(cert, key, topic)
}

func newCertificate(cert *x509.Certificate, key crypto.Signer, topic string) (Certificate, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, ward.Errorf(ward.Invalid, "The private key is of a kind that cannot be stored.").Because(err)
	}
	return Certificate{
		Topic:     topic,
		Serial:    cert.SerialNumber.Text(16),
		Issuer:    cert.Issuer.CommonName,
		NotBefore: cert.NotBefore.UTC(),
		NotAfter:  cert.NotAfter.UTC(),
		TLS:       tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		CertPEM:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		KeyPEM:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}, nil
}

// Topic returns the push topic of a certificate, and whether it has one.
func Topic(cert *x509.Certificate) (string, bool) {
	for _, n := range cert.Subject.Names {
		if v, ok := n.Value.(string); ok && n.Type.Equal(oidUID) && strings.HasPrefix(v, topicPrefix) {
			return v, true
		}
	}
	return "", false
}

// Status is what an operator wants to know of the push certificate.
type Status struct {
	Topic    string
	Serial   string
	Issuer   string
	NotAfter time.Time
	DaysLeft int // whole days; negative once it has expired
}

// Status reports on the certificate at now.
func (c Certificate) Status(now time.Time) Status {
	left := c.NotAfter.Sub(now)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return Status{Topic: c.Topic, Serial: c.Serial, Issuer: c.Issuer, NotAfter: c.NotAfter, DaysLeft: days}
}

// Expired reports whether the certificate no longer works: no device can be woken.
func (s Status) Expired() bool { return s.DaysLeft < 0 }

// RenewSoon reports whether the certificate should be renewed now: 30 days or less are
// left. Apple's certificates last one year.
func (s Status) RenewSoon() bool { return s.DaysLeft <= 30 }

// parseCertificate reads the first certificate of PEM text, or DER.
func parseCertificate(b []byte) (*x509.Certificate, error) {
	der := b
	if isPEM(b) {
		if der = firstBlock(b, "CERTIFICATE"); der == nil {
			return nil, ward.Errorf(ward.Invalid, "The certificate file holds no certificate.")
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The certificate file is not a certificate in PEM or DER form.").Because(err)
	}
	return cert, nil
}

// parseKey reads an unencrypted private key in PEM form: PKCS#8, PKCS#1 or SEC 1.
func parseKey(b []byte) (crypto.Signer, error) {
	bad := ward.Errorf(ward.Invalid, "The key file holds no unencrypted RSA or EC private key in PEM form.")
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, bad
		}
		var (
			key any
			err error
		)
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, bad.Because(err)
		}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			return k, nil
		case *ecdsa.PrivateKey:
			return k, nil
		}
		return nil, bad
	}
}

func isPEM(b []byte) bool { return bytes.Contains(b, []byte("-----BEGIN ")) }

// firstBlock returns the contents of the first PEM block of the type, or nil.
func firstBlock(b []byte, kind string) []byte {
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil
		}
		if block.Type == kind {
			return block.Bytes
		}
		b = rest
	}
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }
