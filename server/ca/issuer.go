package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/smallstep/certificates/authority"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// first is the number of the issuer that the authority began with.
const first = 1

// issuer is an intermediate under the root with its key. They are numbered; the newest
// whose time has come signs, and every one of them answers for what it signed: it
// accepts it, revokes it, lists it and tells its status.
//
// An outside authority's issuer is one too, without a key: it signs by asking there, and
// lists and status of what it signed are that authority's to give.
type issuer struct {
	n     int
	cert  *x509.Certificate
	root  *x509.Certificate // whom it is under
	key   crypto.Signer     // nil for an outside authority's, and where it is lost
	from  time.Time         // when it begins to sign; zero from the beginning
	scep  *recipient        // nil where key is
	guard Signer
	step  *authority.Authority
}

// own reports whether the issuer's key is Ward's to sign with.
func (is *issuer) own() bool { return is.key != nil }

// lost reports whether the issuer is Ward's own and an operator gave up its key.
func (is *issuer) lost() bool { return is.key == nil && is.n < outsideFirst }

func (is *issuer) name() string {
	if is.n == first {
		return "issuer"
	}
	return "issuer " + strconv.Itoa(is.n)
}

// listPath is where the issuer's revocation list is. The first one's has no number, for
// it stood in certificates before there were others.
func (is *issuer) listPath() string {
	if is.n == first {
		return CRLPath
	}
	return CRLPath + "/" + strconv.Itoa(is.n)
}

// current returns the issuer that signs client certificates now.
func (a *Authority) current() *issuer {
	if a.o.Outside != nil {
		if is := a.newest(a.ofOutside); is != nil {
			return is
		}
	}
	return a.ownIssuer()
}

// ownIssuer returns the issuer of Ward's own that signs now what an outside authority does not:
// servers, and the recipient of SCEP requests.
func (a *Authority) ownIssuer() *issuer {
	if is := a.newest((*issuer).own); is != nil {
		return is
	}
	return (*a.issuers.Load())[0]
}

// forServers returns the issuer that signs what this server shows of itself: as ownIssuer,
// but where no issuer's time has come, the newest that has a key. Clients need only the
// root to believe it, and without it the server could not start. Where none has a key it is
// an error of kind Unavailable.
func (a *Authority) forServers() (*issuer, error) {
	if is := a.ownIssuer(); is.own() {
		return is, nil
	}
	for _, is := range slices.Backward(*a.issuers.Load()) {
		if is.own() {
			return is, nil
		}
	}
	return nil, ward.Errorf(ward.Unavailable, "No issuer has its key any more, so nothing can sign the certificate of this server. Make another issuer first, which needs no running server: ward ca rotate --key file --in 0s, with --config or --data.")
}

// newest returns the newest issuer of a kind whose time has come, nil if there is none.
func (a *Authority) newest(of func(*issuer) bool) *issuer {
	now := a.o.Now()
	for _, is := range slices.Backward(*a.issuers.Load()) {
		if of(is) && !now.Before(is.from) {
			return is
		}
	}
	return nil
}

// issuerOf returns the issuer that signed cert, nil if none of ours did.
func (a *Authority) issuerOf(cert *x509.Certificate) *issuer {
	for _, is := range slices.Backward(*a.issuers.Load()) {
		if bytes.Equal(cert.RawIssuer, is.cert.RawSubject) && cert.CheckSignatureFrom(is.cert) == nil {
			return is
		}
	}
	return nil
}

// Issued reports whether one of this authority's issuers signed cert. It does not say
// that cert is valid: see Check.
func (a *Authority) Issued(cert *x509.Certificate) bool {
	return cert != nil && a.issuerOf(cert) != nil
}

// Reload takes in the issuers that were added to Dir since it was read last, and nothing
// else: what is loaded stays. Call it often, for a new issuer begins to sign a short
// while after it was made, and by then every process must accept what it signs. An
// issuer that the database knows with another key is an error of kind Conflict.
func (a *Authority) Reload(ctx context.Context) error {
	if err := a.reload(ctx); err != nil {
		return err
	}
	a.keepUp(ctx)
	return nil
}

func (a *Authority) reload(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	numbers, err := issuerNumbers(a.o.Dir)
	if err != nil {
		return fmt.Errorf("load issuers: %w", err)
	}
	all := slices.Clone(*a.issuers.Load())
	for _, n := range numbers {
		if slices.ContainsFunc(all, func(is *issuer) bool { return is.n == n }) {
			continue
		}
		is, err := a.load(ctx, n)
		if err != nil {
			return err
		}
		all = append(all, is)
		if is.lost() {
			a.o.Log.Warn("the key of an issuer is lost: it signs no certificate, no revocation list and no answer to OCSP any more; see ward ca status", zap.Int("issuer", n), zap.String("subject", is.cert.Subject.String()))
		}
		if n > first {
			a.o.Log.Info("issuer loaded", zap.Int("issuer", n), zap.Time("signs_from", is.from), zap.Time("not_after", is.cert.NotAfter))
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("load issuers: there is none in %s", a.o.Dir)
	}
	slices.SortFunc(all, func(x, y *issuer) int { return x.n - y.n })
	a.issuers.Store(&all)
	return a.missed(ctx, a.lastOwn()+1)
}

// lastOwn is the number of the newest issuer of Ward's own.
func (a *Authority) lastOwn() int {
	n := 0
	for _, is := range *a.issuers.Load() {
		if is.n < outsideFirst {
			n = max(n, is.n)
		}
	}
	return n
}

// missed warns, once, of an issuer that the database knows and Dir has not: it was made on
// another copy of the server, and what it signs is refused here.
func (a *Authority) missed(ctx context.Context, n int) error {
	_, err := a.o.Store.CRL(ctx, n)
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load issuers: %w", err)
	}
	if a.warned != n {
		a.warned = n
		a.o.Log.Warn("an issuer is missing: bring its folder here from the copy of the server that it was made on", zap.Int("issuer", n), zap.String("folder", filepath.Join(a.o.Dir, strconv.Itoa(n))))
	}
	return nil
}

// load reads issuer n and makes sure that the record is its own.
func (a *Authority) load(ctx context.Context, n int) (*issuer, error) {
	dir := filepath.Join(a.o.Dir, strconv.Itoa(n))
	is, err := a.readIssuer(ctx, dir)
	if err != nil {
		return nil, err
	}
	is.n = n
	if err := is.cert.CheckSignatureFrom(is.root); err != nil {
		return nil, fmt.Errorf("load issuer %d: it is not under the root: %w", n, err)
	}
	if !is.own() {
		is.guard = newOutsideGuard(a, is)
		if is.step, err = a.embed(is); err != nil {
			return nil, fmt.Errorf("load issuer %d: %w", n, err)
		}
		return is, nil
	}
	if is.scep, err = a.recipientOf(is, dir); err != nil {
		return nil, err
	}
	soft, err := softcas.New(ctx, casapi.Options{Signer: is.key, CertificateChain: []*x509.Certificate{is.cert}})
	if err != nil {
		return nil, fmt.Errorf("load issuer %d: %w", n, err)
	}
	is.guard = &guard{soft}
	if is.step, err = a.embed(is); err != nil {
		return nil, fmt.Errorf("load issuer %d: %w", n, err)
	}
	return is, a.ownRecord(ctx, is)
}

// ownRecord makes sure that the issuer's revocation list in the store is its own, making
// the first one when there is none.
func (a *Authority) ownRecord(ctx context.Context, is *issuer) error {
	crl, err := a.o.Store.CRL(ctx, is.n)
	if ward.KindOf(err) == ward.NotFound {
		// Another process may make the first list at the same moment: then its own stands.
		if _, err := a.makeCRL(ctx, is, 0); err != nil {
			return fmt.Errorf("load issuer %d: %w", is.n, err)
		}
		crl, err = a.o.Store.CRL(ctx, is.n)
	}
	if err != nil {
		return fmt.Errorf("load issuer %d: %w", is.n, err)
	}
	list, err := x509.ParseRevocationList(crl.DER)
	if err == nil {
		err = list.CheckSignatureFrom(is.cert)
	}
	if err == nil {
		return nil
	}
	if is.n > first {
		return ward.Errorf(ward.Conflict, "The database knows issuer %d with another key than the one in %s: it was made on another copy of the server. Bring that copy's folder %d here.", is.n, a.o.Dir, is.n).Because(err)
	}
	return ward.Errorf(ward.Conflict, "The database belongs to another certificate authority than the one in %s. Restore the folder that was backed up together with the database.", a.o.Dir).Because(err)
}

// issuerNumbers lists the issuers in dir, in order.
func issuerNumbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= first && strconv.Itoa(n) == e.Name() && e.IsDir() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// errKeyApart says that a key is not its certificate's.
var errKeyApart = errors.New("the key and the certificate do not belong together")
