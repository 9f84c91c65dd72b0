// Package appgate is what the approved app on a device talks to: it exchanges the
// one-time token of its managed configuration for a client certificate, and shows by
// a call with that certificate that it works. TLS alone accepts a revoked certificate,
// so every call asks the record.
package appgate

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/httpd"
)

// Holder is who a client certificate belongs to.
type Holder struct {
	Device   ward.DeviceID
	App      string
	NotAfter time.Time
}

// Options are the parts of a gate.
type Options struct {
	Credentials *credential.Service
	// Check returns whose valid, unrevoked app certificate this is; its *ward.Error says
	// why not.
	Check func(ctx context.Context, c *x509.Certificate) (Holder, error)
	// Refused is told of each exchange that was refused, and why; nil is told nothing.
	Refused func(ctx context.Context, token string, why error) error
}

// maxRequest bounds a request's body: a certificate request has 1 to 2 KB.
const maxRequest = 16 << 10

type request struct {
	Token string `json:"token"`
	CSR   string `json:"csr"` // PEM
}

type answer struct {
	Certificate string    `json:"certificate"` // PEM, the app's first, then its issuer
	NotAfter    time.Time `json:"not_after"`
}

type self struct {
	Device   string    `json:"device"`
	App      string    `json:"app"`
	NotAfter time.Time `json:"not_after"`
}

// New returns the handler of /app/v1/.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /app/v1/certificate", func(w http.ResponseWriter, r *http.Request) {
		a, err := exchange(r, o)
		respond(w, r, a, err)
	})
	mux.HandleFunc("GET /app/v1/me", func(w http.ResponseWriter, r *http.Request) {
		a, err := me(r, o)
		respond(w, r, a, err)
	})
	return mux
}

func exchange(r *http.Request, o Options) (any, error) {
	var in request
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(&in); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The body is not JSON with token and csr.").Because(err)
	}
	a, err := certify(r, o, in)
	if err != nil && o.Refused != nil && in.Token != "" {
		err = errors.Join(err, o.Refused(context.WithoutCancel(r.Context()), in.Token, err))
	}
	return a, err
}

func certify(r *http.Request, o Options, in request) (any, error) {
	block, _ := pem.Decode([]byte(in.CSR))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, ward.Errorf(ward.Invalid, "csr is not a certificate request in PEM.")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "csr can't be read: %v.", err)
	}
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: "app", Via: ward.ViaDevice})
	chain, _, err := o.Credentials.Exchange(ctx, in.Token, csr)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return answer{string(text), chain[0].NotAfter}, nil
}

func me(r *http.Request, o Options) (any, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, ward.Errorf(ward.Forbidden, "A client certificate is needed.")
	}
	h, err := o.Check(r.Context(), r.TLS.PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	return self{string(h.Device), h.App, h.NotAfter}, nil
}

func respond(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(b, '\n')) //nolint:errcheck // the client is gone, nobody is left to tell
}
