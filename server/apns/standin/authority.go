package standin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// authority is the stand-in's own throw-away certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// oidUID is the subject attribute that holds the topic (RFC 4519 §2.39).
var oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

const year = 365 * 24 * time.Hour

func newAuthority(now func() time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority key: %w", err)
	}
	a := &authority{key: key, now: now}
	tmpl := a.template(pkix.Name{CommonName: "Ward APNs stand-in"}, 2*year)
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.MaxPathLenZero = true, true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	a.cert = tmpl
	if a.cert, err = a.sign(tmpl, key.Public()); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *authority) template(subject pkix.Name, life time.Duration) *x509.Certificate {
	now := a.now()
	return &x509.Certificate{
		Subject:   subject,
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(life),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func (a *authority) sign(tmpl *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	tmpl.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) issueServer(ip net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server key: %w", err)
	}
	tmpl := a.template(pkix.Name{CommonName: "Ward APNs stand-in server"}, year)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	tmpl.IPAddresses = []net.IP{ip}
	if ip.IsLoopback() || ip.IsUnspecified() {
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		tmpl.DNSNames = []string{"localhost"}
	}
	cert, err := a.sign(tmpl, key.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func (a *authority) push(topic string, pub crypto.PublicKey) (*x509.Certificate, error) {
	if topic == "" {
		return nil, errors.New("push certificate: no topic")
	}
	tmpl := a.template(pkix.Name{
		CommonName: "APSP:stand-in",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidUID, Value: topic}},
	}, year)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(tmpl, pub)
}

func (a *authority) issuePush(topic string) (tls.Certificate, []byte, []byte, error) {
	fail := func(err error) (tls.Certificate, []byte, []byte, error) { return tls.Certificate{}, nil, nil, err }
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(fmt.Errorf("push key: %w", err))
	}
	cert, err := a.push(topic, key.Public())
	if err != nil {
		return fail(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(fmt.Errorf("push key: %w", err))
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (a *authority) certify(csrPEM []byte, topic string) ([]byte, error) {
	block, _ := pem.Decode(csrPEM)
	if block == nil {
		return nil, errors.New("certify: the request is not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	cert, err := a.push(topic, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), nil
}

// check verifies a provider's certificate and returns its topic, or Apple's word for
// what is wrong.
func (a *authority) check(chain []*x509.Certificate) (topic, reason string) {
	if len(chain) == 0 {
		return "", "MissingProviderToken"
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return "", "BadCertificate"
	}
	for _, n := range chain[0].Subject.Names {
		if v, ok := n.Value.(string); ok && n.Type.Equal(oidUID) {
			return v, ""
		}
	}
	return "", "BadCertificate"
}
