package tpmid

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/smallstep/go-attestation/attest"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"go.step.sm/crypto/tpm"
)

// open opens a TPM with the keys in dir.
func open(t *testing.T, p *tpmtest.TPM, dir string) *TPM {
	t.Helper()
	w, err := Open(t.Context(), Options{Device: p.Socket, Dir: dir, HTTP: http.DefaultClient})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return w
}

// identify has the TPM make a key, and keeps it with a certificate that an authority of the
// test signed.
func identify(t *testing.T, w *TPM, name string) *x509.Certificate {
	t.Helper()
	if _, err := w.attestationKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.attestKey(t.Context(), name, []byte("nonce"), nil); err != nil {
		t.Fatal(err)
	}
	key, err := w.tpm.GetSigner(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keep(kept{Key: name, Chain: [][]byte{der}}); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// handshake returns the certificate that a server sees of a client with id.
func handshake(t *testing.T, id *tls.Certificate, version uint16) *x509.Certificate {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(r.TLS.PeerCertificates[0].Raw) //nolint:errcheck,gosec // the client sees it, and is no browser
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: version, MaxVersion: version}
	srv.StartTLS()
	defer srv.Close()
	c := srv.Client()
	c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*id}
	resp, err := c.Get(srv.URL)
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	defer resp.Body.Close()
	var der bytes.Buffer
	if _, err := der.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestIdentityStaysInTheTPM: after both the program and the TPM were switched off the
// identity still signs, no file has the key, and no other TPM can use it.
func TestIdentityStaysInTheTPM(t *testing.T) {
	t.Parallel()
	p, dir := tpmtest.Bare(t), t.TempDir()
	w := open(t, p, dir)
	if _, err := w.Identity(t.Context()); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Identity() before enrolment: %v, want NotFound", err)
	}
	cert := identify(t, w, "first")
	p.Stop(t)
	p.Start(t)
	id, err := open(t, p, dir).Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity() after a restart: %v", err)
	}
	if _, soft := id.PrivateKey.(*ecdsa.PrivateKey); soft {
		t.Error("the key is in memory, not in the TPM")
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if seen := handshake(t, id, v); !seen.Equal(cert) {
			t.Errorf("%s: the server saw another certificate", tls.VersionName(v))
		}
	}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("PRIVATE KEY")) {
			t.Errorf("%s has a private key", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, tpmtest.Bare(t), dir).Identity(t.Context()); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Identity() with another TPM: %v, want Conflict", err)
	}
}

func TestOpenRefusesWhatIsNoTPM(t *testing.T) {
	t.Parallel()
	o := Options{Device: filepath.Join(t.TempDir(), "none"), Dir: t.TempDir(), HTTP: http.DefaultClient}
	if _, err := Open(t.Context(), o); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("Open() without a TPM: %v, want Unavailable", err)
	}
	if _, err := Open(t.Context(), Options{}); err == nil {
		t.Error("Open() without a folder is no error")
	}
}

// TestClaim: what is said of the keys satisfies a verifier, who gets the answer that only
// this TPM can give.
func TestClaim(t *testing.T) {
	t.Parallel()
	v := tpmtest.NewVendor(t)
	w := open(t, v.TPM(t), t.TempDir())
	ak, err := w.attestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, err := w.claim(t.Context(), ak)
	if err != nil {
		t.Fatal(err)
	}
	name, err := w.EK(t.Context())
	if sum := sha256.Sum256(in.EK); err != nil || name != "ek:"+hex.EncodeToString(sum[:]) {
		t.Errorf("EK() = %q, %v", name, err)
	}
	cert, err := x509.ParseCertificate(in.Certs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(v.Issuer(t)); err != nil {
		t.Errorf("the endorsement key's certificate: %v", err)
	}
	if in.Info.Manufacturer == "" || in.Info.Model == "" || in.Info.Firmware == "" {
		t.Errorf("the TPM is described as %+v", in.Info)
	}
	ek, err := x509.ParsePKIXPublicKey(in.EK)
	if err != nil {
		t.Fatal(err)
	}
	p := attest.ActivationParameters{TPMVersion: attest.TPMVersion20, EK: ek, AK: attest.AttestationParameters{
		Public: in.Params.Public, CreateData: in.Params.CreateData, CreateAttestation: in.Params.CreateAttestation, CreateSignature: in.Params.CreateSignature,
	}}
	secret, sealed, err := p.Generate()
	if err != nil {
		t.Fatalf("the verifier refuses the attestation key: %v", err)
	}
	got, err := ak.ActivateCredential(t.Context(), tpm.EncryptedCredential(*sealed))
	if diff := cmp.Diff(secret, got); err != nil || diff != "" {
		t.Errorf("ActivateCredential: %v, mismatch (-want +got):\n%s", err, diff)
	}
}

// TestAttestationObject: the object says that the key is the TPM's, over the digest given,
// and its parts are where WebAuthn puts them.
func TestAttestationObject(t *testing.T) {
	t.Parallel()
	w := open(t, tpmtest.Bare(t), t.TempDir())
	ak, err := w.attestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("token.thumbprint"))
	object, err := w.attestKey(t.Context(), "key", digest[:], [][]byte{{1}, {2}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Fmt     string `cbor:"fmt"`
		AttStmt struct {
			Ver      string   `cbor:"ver"`
			Alg      int      `cbor:"alg"`
			X5C      [][]byte `cbor:"x5c"`
			Sig      []byte   `cbor:"sig"`
			CertInfo []byte   `cbor:"certInfo"`
			PubArea  []byte   `cbor:"pubArea"`
		} `cbor:"attStmt"`
	}
	if err := cbor.Unmarshal(object, &got); err != nil {
		t.Fatal(err)
	}
	s := got.AttStmt
	if got.Fmt != "tpm" || s.Ver != "2.0" || s.Alg != coseRS256 || cmp.Diff([][]byte{{1}, {2}}, s.X5C) != "" {
		t.Errorf("object = %+v", got)
	}
	info, err := tpm2.DecodeAttestationData(s.CertInfo)
	if err != nil || !bytes.Equal(info.ExtraData, digest[:]) {
		t.Errorf("certInfo is over %x, %v; want %x", info.ExtraData, err, digest)
	}
	p := attest.CertificationParameters{Public: s.PubArea, CreateAttestation: s.CertInfo, CreateSignature: s.Sig}
	public, ok := ak.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatalf("the attestation key is a %T", ak.Public())
	}
	if err := p.Verify(attest.VerifyOpts{Public: public, Hash: crypto.SHA256}); err != nil {
		t.Errorf("the statement does not hold: %v", err)
	}
}

// TestAttestationKeyIsReplaced: a file that a power cut left half, or one of another TPM,
// does not keep a workstation from enrolling.
func TestAttestationKeyIsReplaced(t *testing.T) {
	t.Parallel()
	p, dir := tpmtest.Bare(t), t.TempDir()
	w := open(t, p, dir)
	first, err := w.attestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(t, p, dir).attestationKey(t.Context())
	if err != nil || !bytes.Equal(first.Data(), again.Data()) {
		t.Errorf("the attestation key was made anew without need: %v", err)
	}
	path := filepath.Join(dir, "keys", "ak-"+akName+".tpmobj")
	if err := os.WriteFile(path, []byte(`{"name":"atte`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		w    *TPM
	}{
		{"half a file", open(t, p, dir)},
		{"another TPM", open(t, tpmtest.Bare(t), dir)},
	} {
		ak, err := c.w.attestationKey(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := ak.AttestationParameters(t.Context()); err != nil {
			t.Errorf("%s: the new key can't be used: %v", c.name, err)
		}
	}
}

// TestRefusals: what the server says reaches whoever reads the error, and the challenge
// does not.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := open(t, tpmtest.Bare(t), t.TempDir())
	problem := func(status int, body string) *httptest.Server {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(body)) //nolint:errcheck // the client sees it
		}))
		t.Cleanup(srv.Close)
		return srv
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, c := range []struct {
		name, url string
		kind      ward.Kind
		want      string
	}{
		{"refused", problem(403, `{"kind":"forbidden","detail":"Nothing vouches for this TPM."}`).URL, ward.Forbidden, "Nothing vouches for this TPM."},
		{"no Ward", problem(404, "<html>not found</html>").URL, ward.Unavailable, "is it Ward's address"},
		{"unreachable", closed.URL, ward.Unavailable, "can't be reached"},
		{"no JSON", problem(200, "fine").URL, ward.Internal, "can't be read"},
	} {
		_, err := w.Enrol(t.Context(), Order{Server: c.url, Challenge: "canary"})
		if ward.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Enrol() = %v, want kind %s with %q", c.name, err, c.kind, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows the challenge: %v", c.name, err)
		}
	}
	if _, err := w.Identity(t.Context()); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Identity() after refusals: %v, want NotFound", err)
	}
}

// TestKeepsWholeFiles: a certificate that was half written is never read, and an identity
// that can't be kept is an error.
func TestKeepsWholeFiles(t *testing.T) {
	t.Parallel()
	w := &TPM{o: Options{Dir: t.TempDir()}}
	want := kept{Key: "k", Chain: [][]byte{{1, 2}}}
	if err := w.keep(want); err != nil {
		t.Fatal(err)
	}
	got, err := w.kept()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("kept(): %v, mismatch (-want +got):\n%s", err, diff)
	}
	if names, err := filepath.Glob(filepath.Join(w.o.Dir, ".*")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if err := (&TPM{o: Options{Dir: filepath.Join(w.o.Dir, "none")}}).keep(want); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keep() without a folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(w.o.Dir, identityFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.kept(); err == nil {
		t.Error("kept() of half a file is no error")
	}
}
