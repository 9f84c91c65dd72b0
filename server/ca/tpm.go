package ca

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
	"go.uber.org/zap"
)

// TPMPath has, after a slash, a challenge, and after another one attest or secret: see TPM.
const TPMPath = "/tpm"

// EKPrefix begins the name of a TPM: it is followed by the SHA-256 of its endorsement
// key's public half (PKIX, DER) in hexadecimal. Attested.Serial has that form for
// FormatTPM, and so has Attestation.Identifier where the TPM is known beforehand.
const EKPrefix = "ek:"

const (
	// activationLife is how long a TPM has for its answer; slow ones need seconds.
	activationLife = 5 * time.Minute
	// attestationLife is how long the certificate of an attestation key is good: it is for
	// the one order that follows.
	attestationLife = time.Hour
)

// TPMOptions say which TPMs are believed to be TPMs. Store is needed.
type TPMOptions struct {
	// Store keeps what was asked of TPMs until they answer.
	Store Activations
	// Roots are the authorities of TPM manufacturers, roots or intermediates, under which
	// the certificates of endorsement keys are believed. None means that an endorsement key
	// has to be registered.
	Roots []*x509.Certificate
	// Registered reports whether the endorsement key of that name is in the asset list; nil
	// means that the list has none.
	Registered func(ctx context.Context, ek string) (bool, error)
}

// Activation is a question to a TPM that waits for its answer.
type Activation struct {
	Challenge string // SHA-256 of the challenge, hexadecimal
	Secret    []byte // SHA-256 of what the TPM has to answer
	AK        []byte // public half of the attestation key, PKIX
	EK        string // name of the endorsement key: see EKPrefix
	// Manufacturer, Model and Firmware are what the TPM says of itself.
	Manufacturer, Model, Firmware string
	Expires                       time.Time
}

// Activations keeps what was asked of TPMs, and which attestation authority is ours.
type Activations interface {
	// KeepActivation keeps a in place of any other of its challenge, and forgets those
	// that ended by now.
	KeepActivation(ctx context.Context, a Activation, now time.Time) error
	// TakeActivation returns the activation of a challenge and forgets it: of several calls
	// one succeeds. None is a *ward.Error of kind NotFound.
	TakeActivation(ctx context.Context, challenge string) (Activation, error)
	// AttestationRoot returns the hash of the attestation authority's root; "" if there is
	// none.
	AttestationRoot(ctx context.Context) (string, error)
	// ClaimAttestationRoot records that hash if none is recorded, and returns what is.
	ClaimAttestationRoot(ctx context.Context, hash string) (string, error)
}

// TPM certifies the attestation keys of TPMs, so that the ACME challenge device-attest-01
// believes what they say of other keys.
type TPM struct {
	a       *Authority
	o       TPMOptions
	vendors *x509.CertPool
	mu      sync.Mutex
	signer  *attestationAuthority // nil until it is needed
}

// TPM returns the attestation authority for workstations.
func (a *Authority) TPM(o TPMOptions) (*TPM, error) {
	if o.Store == nil {
		return nil, errors.New("attest TPMs: Store is needed")
	}
	t := &TPM{a: a, o: o, vendors: x509.NewCertPool()}
	for _, c := range o.Roots {
		t.vendors.AddCert(c)
	}
	a.tpms.Store(true)
	return t, nil
}

// dir is where the attestation authority is.
func (t *TPM) dir() string { return filepath.Join(t.a.o.Dir, attestationDir) }

// Handler serves, under TPMPath/{challenge}, the two calls by which a TPM proves that it
// holds both its endorsement key and an attestation key, and gets the latter certified
// (TPM 2.0 library, part 1, section 24, credential protection). POST attest takes what the
// TPM says of the keys and answers with a secret that only that TPM can read; POST secret
// takes the secret and answers with the certificate, once. Both are JSON in the form of
// go.step.sm/crypto/tpm/attestation. Only a challenge whose grant asks for FormatTPM lets
// anybody in, and it is not spent here.
func (t *TPM) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+TPMPath+"/{challenge}/attest", t.serve(t.attest))
	mux.HandleFunc("POST "+TPMPath+"/{challenge}/secret", t.serve(t.secret))
	return mux
}

// serve answers with what do returns, as JSON.
func (t *TPM) serve(do func(ctx context.Context, challenge string, body []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
		var out any
		if err == nil {
			out, err = do(r.Context(), r.PathValue("challenge"), body)
		}
		if err != nil {
			t.a.o.Log.Warn("tpm request refused", zap.String("route", r.Pattern), zap.Error(err), zap.String("request_id", ward.RequestID(r.Context())))
			t.a.refused(r.Context(), "tpm", r.PathValue("challenge"), err)
			httpd.WriteError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(out) // the client is gone: there is nobody to tell
	}
}

// grant returns what the challenge grants, if it is for a TPM.
func (t *TPM) grant(ctx context.Context, challenge string) (Grant, error) {
	g, err := t.a.o.Challenges.Lookup(ctx, challenge)
	if err != nil {
		return Grant{}, err
	}
	if g.Attestation == nil || g.Attestation.Format != FormatTPM {
		return Grant{}, ward.Errorf(ward.Forbidden, "This challenge is not for a key that a TPM attests.")
	}
	return g, nil
}

// attest asks the TPM for a secret that only it can read.
func (t *TPM) attest(ctx context.Context, challenge string, body []byte) (any, error) {
	g, err := t.grant(ctx, challenge)
	if err != nil {
		return nil, err
	}
	c, err := readClaim(body)
	if err != nil {
		return nil, err
	}
	if err := t.trust(ctx, g, c); err != nil {
		return nil, err
	}
	if err := t.a.o.Challenges.Permit(ctx, challenge, Attested{Format: FormatTPM, Serial: c.name}); err != nil {
		return nil, err
	}
	secret, sealed, err := c.question()
	if err != nil {
		return nil, err
	}
	now, sum := t.a.o.Now(), sha256.Sum256(secret)
	err = t.o.Store.KeepActivation(ctx, Activation{
		Challenge: hashOf(challenge), Secret: sum[:], AK: c.ak, EK: c.name,
		Manufacturer: c.manufacturer, Model: c.model, Firmware: c.firmware, Expires: now.Add(activationLife),
	}, now)
	if err != nil {
		return nil, fmt.Errorf("keep activation: %w", err)
	}
	return sealed, nil
}

type secretRequest struct {
	Secret []byte `json:"secret"`
}

type secretAnswer struct {
	Chain [][]byte `json:"chain"` // DER, the attestation key's first
}

// secret certifies the attestation key of a TPM that answered right. There is one answer
// to each question, right or wrong.
func (t *TPM) secret(ctx context.Context, challenge string, body []byte) (any, error) {
	g, err := t.grant(ctx, challenge)
	if err != nil {
		return nil, err
	}
	var in secretRequest
	if err := json.Unmarshal(body, &in); err != nil || len(in.Secret) == 0 {
		return nil, ward.Errorf(ward.Invalid, "The body is not JSON with secret.").Because(err)
	}
	v, err := t.o.Store.TakeActivation(ctx, hashOf(challenge))
	switch {
	case ward.KindOf(err) == ward.NotFound:
		return nil, ward.Errorf(ward.Forbidden, "Nothing was asked of a TPM under this challenge, or it has answered already. Begin again.").Because(err)
	case err != nil:
		return nil, fmt.Errorf("take activation: %w", err)
	case !t.a.o.Now().Before(v.Expires):
		return nil, ward.Errorf(ward.Forbidden, "The TPM's answer came too late. Begin again.")
	}
	sum := sha256.Sum256(in.Secret)
	if subtle.ConstantTimeCompare(sum[:], v.Secret) != 1 {
		return nil, ward.Errorf(ward.Forbidden, "The TPM's answer is wrong: the attestation key is not on the TPM with the endorsement key %s.", v.EK)
	}
	// The challenge may be for another TPM by now.
	if err := sameTPM(g, v.EK); err != nil {
		return nil, err
	}
	if err := t.a.o.Challenges.Permit(ctx, challenge, Attested{Format: FormatTPM, Serial: v.EK}); err != nil {
		return nil, err
	}
	s, err := t.open(ctx)
	if err != nil {
		return nil, ward.Errorf(ward.Unavailable, "The attestation authority is not available: the server's log says why.").Because(err)
	}
	chain, err := s.certify(v, t.a.o.Now())
	if err != nil {
		return nil, fmt.Errorf("certify attestation key: %w", err)
	}
	t.a.o.Log.Info("attestation key certified", zap.String("tpm", v.EK), zap.String("manufacturer", v.Manufacturer), zap.String("model", v.Model),
		zap.String("serial", chain[0].SerialNumber.String()), zap.Time("not_after", chain[0].NotAfter), zap.String("request_id", ward.RequestID(ctx)))
	return secretAnswer{[][]byte{chain[0].Raw, chain[1].Raw}}, nil
}

// sameTPM refuses a TPM when the challenge is for another.
func sameTPM(g Grant, ek string) error {
	if id := g.Attestation.Identifier; strings.HasPrefix(id, EKPrefix) && id != ek {
		return ward.Errorf(ward.Forbidden, "This challenge is for another workstation than the one whose TPM has the endorsement key %s.", ek)
	}
	return nil
}

// trust decides whether what calls itself a TPM is one. Whoever holds an endorsement key's
// private half can make up the rest, so the key has to be vouched for: by the invitation or
// the asset list that names it, or by a manufacturer's certificate.
func (t *TPM) trust(ctx context.Context, g Grant, c *claim) error {
	if err := sameTPM(g, c.name); err != nil {
		return err
	}
	if g.Attestation.Identifier == c.name {
		return nil
	}
	if t.o.Registered != nil {
		known, err := t.o.Registered(ctx, c.name)
		if err != nil {
			return fmt.Errorf("look for %s in the asset list: %w", c.name, err)
		}
		if known {
			return nil
		}
	}
	why := errors.New("it has no certificate")
	if c.cert != nil {
		if why = verifyEK(c.cert, t.vendors, t.a.o.Now()); why == nil {
			return nil
		}
	}
	return ward.Errorf(ward.Forbidden, "Nothing vouches for this TPM: its endorsement key %s is not registered, and has no certificate of a manufacturer that is trusted here. Register that name for the workstation.", c.name).Because(why)
}

func hashOf(challenge string) string {
	h := sha256.Sum256([]byte(challenge))
	return hex.EncodeToString(h[:])
}
