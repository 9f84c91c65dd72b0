package applemdm

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanolib/log/ctxlog"
	httpmdm "github.com/micromdm/nanomdm/http/mdm"
	"github.com/wardmdm/ward"
)

// HandlerOptions say how devices may prove themselves.
type HandlerOptions struct {
	// Roots are the authorities whose devices may speak: Ward's own and those that may
	// adopt.
	Roots *x509.CertPool
	// Intermediates complete the chain of a device that sends only its own certificate.
	Intermediates *x509.CertPool
	// ProxyHeader is the header in which a trusted proxy passes the certificate that it
	// verified (RFC 9440, or URL-escaped PEM); "" trusts none. TrustProxy says which
	// requests come from that proxy.
	ProxyHeader string
	TrustProxy  func(r *http.Request) bool
	// Late is how long after its end a certificate is let in that LateRoots, Ward's own
	// authority, vouched for while it lasted; zero lets none in. Whether it proves anything
	// is the service's to say.
	Late      time.Duration
	LateRoots *x509.CertPool
	Log       log.Logger
	Now       func() time.Time
}

// Handler returns the handler of the one address that devices check in to and fetch
// commands from. Proofs are taken in this order: an Mdm-Signature header, the TLS
// client certificate or, from a trusted proxy, its header.
func (s *Service) Handler(o HandlerOptions) http.Handler {
	h := s.reports(httpmdm.CheckinAndCommandHandler(s, o.Log), o.Log)
	h = verified(h, newChainVerifier(o), o.Log)
	h = httpmdm.CertExtractMdmSignatureMiddleware(h, httpmdm.MdmSignatureVerifierFunc(verifySignature), httpmdm.SigLogWithLogger(o.Log))
	signed := h
	h = httpmdm.CertExtractTLSMiddleware(signed, o.Log)
	if o.ProxyHeader != "" {
		direct, proxied := h, httpmdm.CertExtractPEMHeaderMiddleware(signed, o.ProxyHeader, o.Log)
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if o.TrustProxy != nil && o.TrustProxy(r) {
				proxied.ServeHTTP(w, r)
				return
			}
			direct.ServeHTTP(w, r)
		})
	}
	return withRequestID(limit(h, o.Log))
}

// verified lets a request through whose certificate v lets in. It does what the library's
// own does, but that one whose time is over is told so by a 403: its message is well formed.
func verified(next http.Handler, v httpmdm.CertVerifier, l log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := v.Verify(r.Context(), httpmdm.GetCert(r.Context()))
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		status := http.StatusBadRequest
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
			status = http.StatusForbidden
		}
		ctxlog.Logger(r.Context(), l).Info("msg", "error verifying MDM certificate", "err", err, "http_status", status)
		http.Error(w, http.StatusText(status), status)
	})
}

// withRequestID has nanomdm's log lines carry the request's id.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := ctxlog.AddFunc(r.Context(), func(ctx context.Context) []any { return []any{"request_id", ward.RequestID(ctx)} })
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// limit lets a body through only if the decoder may see it.
func limit(next http.Handler, l log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut && r.Method != http.MethodPost {
			w.Header().Set("Allow", "PUT, POST")
			http.Error(w, "A device sends PUT here.", http.StatusMethodNotAllowed)
			return
		}
		body, err := read(w, r)
		if err == nil {
			err = guard(body)
		}
		if err != nil {
			status := http.StatusBadRequest
			if big := new(http.MaxBytesError); errors.As(err, &big) {
				status = http.StatusRequestEntityTooLarge
			}
			ctxlog.Logger(r.Context(), l).Info("msg", "device sent what can't be read", "err", err, "http_status", status)
			http.Error(w, http.StatusText(status), status)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), rawKey{}, body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	if r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		return body, nil
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

// chainVerifier remembers which certificates have a valid chain: checking it again for
// every request would cost more than the database does.
type chainVerifier struct {
	o    HandlerOptions
	mu   sync.RWMutex
	good map[string]validity // by raw certificate hash
}

type validity struct{ from, until time.Time }

// maxRemembered bounds the memory; beyond it the verifier forgets all and begins anew.
const maxRemembered = 200_000

func newChainVerifier(o HandlerOptions) *chainVerifier {
	return &chainVerifier{o: o, good: map[string]validity{}}
}

// Verify meets httpmdm.CertVerifier.
func (v *chainVerifier) Verify(_ context.Context, c *x509.Certificate) error {
	if c == nil {
		return errNoCertificate
	}
	hash, now := Hash(c), v.o.Now()
	v.mu.RLock()
	known, ok := v.good[hash]
	v.mu.RUnlock()
	if ok && !now.Before(known.from) && now.Before(known.until) {
		return nil
	}
	known, err := v.verify(c, now)
	if err != nil {
		return err
	}
	v.mu.Lock()
	if len(v.good) >= maxRemembered {
		clear(v.good)
	}
	v.good[hash] = known
	v.mu.Unlock()
	return nil
}

// verify returns while when a certificate is let in.
func (v *chainVerifier) verify(c *x509.Certificate, now time.Time) (validity, error) {
	o := x509.VerifyOptions{Roots: v.o.Roots, Intermediates: v.o.Intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if end := c.NotAfter.Add(v.o.Late); v.o.LateRoots != nil && now.After(c.NotAfter) && now.Before(end) {
		o.Roots, o.CurrentTime = v.o.LateRoots, c.NotAfter
		_, err := c.Verify(o)
		return validity{c.NotAfter, end}, err
	}
	chains, err := c.Verify(o)
	if err != nil {
		return validity{}, err
	}
	until := c.NotAfter
	for _, up := range chains[0] {
		if up.NotAfter.Before(until) {
			until = up.NotAfter
		}
	}
	return validity{c.NotBefore, until}, nil
}
