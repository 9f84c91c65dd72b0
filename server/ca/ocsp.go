package ca

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.uber.org/zap"
	"golang.org/x/crypto/ocsp"
)

// ocspLife is how long an answer is valid, and ocspHold how long others may keep it: what
// is revoked must be refused soon.
const (
	ocspLife = 10 * time.Minute
	ocspHold = crlHold
)

// OCSP answers whether certificates are valid, revoked or not known, from the record as it
// is at that moment (RFC 6960; headers by RFC 5019 section 6; nonces by RFC 9654): a POST
// to OCSPPath, or a GET with the request in base64 after it. Each answer is signed by the
// issuer that it is about. A certificate that was signed but never recorded is unknown;
// of another authority's it says that it is not the one to ask. Whatever a question looks
// like, the HTTP status is 200 where OCSP has a word for what is wrong with it.
func (a *Authority) OCSP() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readOCSP(w, r)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, "The OCSP request is too large.", http.StatusRequestEntityTooLarge)
			return
		}
		if errors.Is(err, errors.ErrUnsupported) {
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "OCSP knows GET and POST only.", http.StatusMethodNotAllowed)
			return
		}
		var q *ocspQuestion
		if err == nil {
			q, err = parseOCSP(body)
		}
		if err != nil {
			a.o.Log.Debug("ocsp request refused", zap.Error(err), zap.String("request_id", ward.RequestID(r.Context())))
			writeOCSP(w, ocsp.MalformedRequestErrorResponse)
			return
		}
		now := a.o.Now().UTC().Truncate(time.Second)
		reply, err := a.status(r.Context(), q, now)
		switch {
		case errors.Is(err, ErrForeign):
			writeOCSP(w, ocsp.UnauthorizedErrorResponse)
		case err != nil:
			a.o.Log.Error("ocsp request not answered", zap.Error(err), zap.String("request_id", ward.RequestID(r.Context())))
			writeOCSP(w, ocsp.TryLaterErrorResponse)
		default:
			if !q.asked && r.Method != http.MethodPost {
				keepOCSP(w.Header(), reply, now)
			}
			writeOCSP(w, reply)
		}
	})
}

// keepOCSP lets caches keep an answer to a GET for a short while.
func keepOCSP(h http.Header, reply []byte, now time.Time) {
	sum := sha256.Sum256(reply)
	h.Set("Cache-Control", "public, no-transform, must-revalidate, max-age="+strconv.Itoa(int(ocspHold.Seconds())))
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Last-Modified", now.Format(http.TimeFormat))
	h.Set("Expires", now.Add(ocspLife).Format(http.TimeFormat))
}

func writeOCSP(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Write(b) //nolint:errcheck // the client is gone: there is nobody to tell
}

// readOCSP returns the request of a POST, or of a GET, where it is in base64 with what
// URLs escape (RFC 6960 appendix A.1). ErrUnsupported says that it is another method.
func readOCSP(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	switch r.Method {
	case http.MethodPost:
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSPRequest))
	case http.MethodGet, http.MethodHead:
	default:
		return nil, errors.ErrUnsupported
	}
	text, ok := strings.CutPrefix(r.URL.EscapedPath(), OCSPPath+"/")
	if !ok || len(text) > 2*maxOCSPRequest {
		return nil, errors.New("read OCSP request: the path has none")
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return nil, fmt.Errorf("read OCSP request: %w", err)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("read OCSP request: %w", err)
	}
	return b, nil
}

// status answers q from the record. ErrForeign says that a certificate in it is none of
// this authority's, or that two are of different issuers of its, which no one answer can
// be signed for.
func (a *Authority) status(ctx context.Context, q *ocspQuestion, now time.Time) ([]byte, error) {
	is := a.issuerNamed(q.certs[0])
	if is == nil {
		return nil, ErrForeign
	}
	all := make([]singleResponse, len(q.certs))
	for i, id := range q.certs {
		if !id.names(is) {
			return nil, ErrForeign
		}
		c, err := a.o.Store.CertificateBySerial(ctx, id.Serial.String())
		found := &c
		if ward.KindOf(err) == ward.NotFound || err == nil && c.Issuer != is.n {
			found, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("status of certificate %s: %w", id.Serial, err)
		}
		if all[i], err = id.single(found, now, now.Add(ocspLife)); err != nil {
			return nil, err
		}
	}
	return is.answerOCSP(all, q.nonce, now)
}

func (a *Authority) issuerNamed(id certID) *issuer {
	for _, is := range *a.issuers.Load() {
		if is.own() && id.names(is) {
			return is
		}
	}
	return nil
}
