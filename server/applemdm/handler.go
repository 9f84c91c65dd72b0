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
	"github.com/micromdm/nanomdm/cryptoutil"
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
	Log         log.Logger
	Now         func() time.Time
}

// Handler returns the handler of the one address that devices check in to and fetch
// commands from. Proofs are taken in this order: an Mdm-Signature header, the TLS
// client certificate or, from a trusted proxy, its header.
func (s *Service) Handler(o HandlerOptions) http.Handler {
	h := s.reports(httpmdm.CheckinAndCommandHandler(s, o.Log), o.Log)
	h = httpmdm.CertVerifyMiddleware(h, newChainVerifier(o), o.Log)
	h = httpmdm.CertExtractMdmSignatureMiddleware(h, httpmdm.MdmSignatureVerifierFunc(cryptoutil.VerifyMdmSignature), httpmdm.SigLogWithLogger(o.Log))
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
	chains, err := c.Verify(x509.VerifyOptions{
		Roots: v.o.Roots, Intermediates: v.o.Intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	known = validity{c.NotBefore, c.NotAfter}
	for _, up := range chains[0] {
		if up.NotAfter.Before(known.until) {
			known.until = up.NotAfter
		}
	}
	v.mu.Lock()
	if len(v.good) >= maxRemembered {
		clear(v.good)
	}
	v.good[hash] = known
	v.mu.Unlock()
	return nil
}
