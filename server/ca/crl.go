package ca

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

const (
	crlLife = 24 * time.Hour   // until NextUpdate
	crlAge  = time.Hour        // a list older than this is made anew when it is asked for
	crlHold = 60 * time.Second // how long others may keep it; a revoked app must be out soon
)

// RemakeCRL makes a new revocation list of each issuer from what is revoked now. Call it after the
// commit that revoked, and outside every unit of work, for it signs. Lists are
// numbered upwards even when several processes make them, and one that RemakeCRL
// returned for is never replaced by one that knows less. An outside authority is told of
// what was revoked.
func (a *Authority) RemakeCRL(ctx context.Context) error {
	for _, is := range *a.issuers.Load() {
		if !is.own() {
			continue
		}
		if err := a.remake(ctx, is); err != nil {
			return err
		}
	}
	if a.o.Outside != nil {
		a.passOn(ctx)
	}
	return nil
}

func (a *Authority) remake(ctx context.Context, is *issuer) error {
	a.crlMutex.Lock()
	defer a.crlMutex.Unlock()
	for {
		last, err := a.o.Store.CRL(ctx, is.n)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return fmt.Errorf("make revocation list: %w", err)
		}
		// Another process that was first knew no later revocations than we read next:
		// read again, so that the list that stands has them all.
		ok, err := a.makeCRL(ctx, is, last.Number)
		if err != nil {
			return fmt.Errorf("make revocation list: %w", err)
		}
		if ok {
			return nil
		}
	}
}

// makeCRL signs the issuer's list that follows number previous and stores it if that is
// still the newest.
func (a *Authority) makeCRL(ctx context.Context, is *issuer, previous int64) (bool, error) {
	now := a.o.Now().UTC().Truncate(time.Second)
	// RFC 5280 section 3.3: an entry stays on one list issued after the certificate expired.
	revoked, err := a.o.Store.RevokedAfter(ctx, is.n, now.Add(-2*crlLife))
	if err != nil {
		return false, err
	}
	list := &x509.RevocationList{Number: big.NewInt(previous + 1), ThisUpdate: now, NextUpdate: now.Add(crlLife)}
	for _, r := range revoked {
		n, ok := new(big.Int).SetString(r.Serial, 10)
		if !ok {
			return false, fmt.Errorf("serial %q in the record is not a number", r.Serial)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: n, RevocationTime: r.At.UTC(), ReasonCode: int(r.Reason)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, is.cert, is.key)
	if err != nil {
		return false, err
	}
	return a.o.Store.ReplaceCRL(ctx, CRL{Issuer: is.n, Number: previous + 1, Entries: len(revoked), DER: der, Made: now}, previous)
}

// CRL serves the newest revocation lists in DER (RFC 5280 section 5; media type by RFC
// 2585 section 4.2), making a new one when it is an hour old: that of the first issuer at
// CRLPath, that of issuer n at CRLPath/n. No cache keeps a list longer than a minute, or
// than it is valid (RFC 9111 section 5.2.2.1): what was revoked must be out soon.
func (a *Authority) CRL() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reading(w, r) {
			return
		}
		is := a.numbered(r.URL.Path, CRLPath)
		if is == nil {
			http.NotFound(w, r)
			return
		}
		crl, err := a.freshCRL(r.Context(), is)
		if ward.KindOf(err) == ward.NotFound && !is.own() { // an outside authority has it elsewhere
			http.NotFound(w, r)
			return
		}
		if err != nil {
			a.o.Log.Error("revocation list not served", zap.Error(err), zap.String("request_id", ward.RequestID(r.Context())))
			http.Error(w, "The revocation list cannot be read at the moment.", http.StatusServiceUnavailable)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/pkix-crl")
		h.Set("ETag", `"`+strconv.FormatInt(crl.Number, 10)+`"`)
		hold := min(crlHold, crl.Made.Add(crlLife).Sub(a.o.Now()))
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(max(0, int(hold.Seconds()))))
		http.ServeContent(w, r, "", crl.Made, bytes.NewReader(crl.DER))
	})
}

// numbered returns the issuer whose number follows prefix in path, the first one where
// none does, nil where there is no such issuer.
func (a *Authority) numbered(path, prefix string) *issuer {
	number := strings.TrimPrefix(strings.TrimPrefix(path, prefix), "/")
	for _, is := range *a.issuers.Load() {
		if number == strconv.Itoa(is.n) || number == "" && is.n == first {
			return is
		}
	}
	return nil
}

func (a *Authority) freshCRL(ctx context.Context, is *issuer) (CRL, error) {
	crl, err := a.o.Store.CRL(ctx, is.n)
	if !is.own() || err == nil && a.o.Now().Sub(crl.Made) < crlAge {
		return crl, err
	}
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return CRL{}, err
	}
	if remade := a.remake(ctx, is); remade != nil {
		return CRL{}, errors.Join(err, remade)
	}
	return a.o.Store.CRL(ctx, is.n)
}

// Lists returns the newest revocation list of each issuer of Ward's own, the oldest
// issuer's first.
func (a *Authority) Lists(ctx context.Context) ([]CRL, error) {
	var out []CRL
	for _, is := range *a.issuers.Load() {
		if !is.own() {
			continue
		}
		crl, err := a.freshCRL(ctx, is)
		if err != nil {
			return nil, fmt.Errorf("revocation list of %s: %w", is.name(), err)
		}
		out = append(out, crl)
	}
	return out, nil
}

// NextUpdate is when the list is no longer to be relied on.
func (c CRL) NextUpdate() time.Time { return c.Made.Add(crlLife) }

// IssuerHandler serves an issuer's certificate in DER (RFC 2585 section 4.1) at
// IssuersPath, a slash and its number.
func (a *Authority) IssuerHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reading(w, r) {
			return
		}
		is := a.numbered(r.URL.Path, IssuersPath)
		if is == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/pkix-cert")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeContent(w, r, "", is.cert.NotBefore, bytes.NewReader(is.cert.Raw))
	})
}

// RootHandler serves the root certificate in PEM.
func (a *Authority) RootHandler() http.Handler {
	b := a.RootPEM()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reading(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeContent(w, r, "", a.root.NotBefore, bytes.NewReader(b))
	})
}

// reading refuses every method but GET and HEAD.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "Only GET and HEAD are allowed here.", http.StatusMethodNotAllowed)
	return false
}
