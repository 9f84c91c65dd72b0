package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

const (
	// outsideFirst is the number of the first issuer of outside authorities, so that the
	// numbers of Ward's own go on without gaps.
	outsideFirst = 1001
	// outsideRoot is the file in the folder of such an issuer with the root it is under.
	outsideRoot = "outside.pem"
	// outsidePassed is the file in that folder with the serials of which the outside
	// authority knows that they were revoked, a line each.
	outsidePassed = "revoked"
	// outsideAge is how often an outside authority is asked for its issuers.
	outsideAge = 10 * time.Minute
)

// meetOutside learns the outside authority's issuers when none is known yet. A server that
// has met it once starts without it.
func (a *Authority) meetOutside(ctx context.Context) error {
	if a.o.Outside == nil || a.newest(a.ofOutside) != nil {
		return nil
	}
	return a.askOutside(ctx)
}

// ofOutside reports whether is belongs to the outside authority of the options.
func (a *Authority) ofOutside(is *issuer) bool { return !is.own() && a.o.Outside.is(is.root) }

// keepUp asks the outside authority for its issuers from time to time, and passes on what
// was revoked. It only logs what fails: it is tried again soon, and nothing waits for it.
func (a *Authority) keepUp(ctx context.Context) {
	if a.o.Outside == nil {
		return
	}
	a.outside.mu.Lock()
	due := a.o.Now().Sub(a.outside.asked) >= outsideAge
	a.outside.mu.Unlock()
	if due {
		if err := a.askOutside(ctx); err != nil {
			a.o.Log.Warn("the outside authority's issuers are not known to be the same", zap.Error(err))
		}
	}
	a.passOn(ctx)
}

// askOutside takes in the issuers that the outside authority names and that are not known.
func (a *Authority) askOutside(ctx context.Context) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	a.outside.mu.Lock()
	a.outside.asked = a.o.Now()
	a.outside.mu.Unlock()
	bundle, err := client.intermediates(ctx)
	if err != nil {
		return a.away(err)
	}
	root := client.root
	for _, cert := range slices.Backward(bundle) { // the first one of them signs: it comes last
		if wrong := misfitsOutside(cert, root, a.o.Now()); len(wrong) > 0 {
			return &ward.Error{Kind: ward.Unavailable, Message: "The issuer of the outside authority, " + cert.Subject.String() + ", can't be relied on.", Details: wrong}
		}
		if slices.ContainsFunc(*a.issuers.Load(), func(is *issuer) bool { return is.cert.Equal(cert) }) {
			continue
		}
		if err := a.addOutside(ctx, cert, root); err != nil {
			return err
		}
	}
	return nil
}

// misfitsOutside says what keeps cert from being an outside authority's issuer.
func misfitsOutside(cert, root *x509.Certificate, now time.Time) (wrong []string) {
	note := func(bad bool, why string) {
		if bad {
			wrong = append(wrong, why)
		}
	}
	note(cert.CheckSignatureFrom(root) != nil, "It is not directly under the root with the fingerprint.")
	note(!cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&x509.KeyUsageCertSign == 0, "It is not a certificate of an authority.")
	note(limitsNames(cert), "It limits the URIs that it may sign for (name constraints): Ward names devices by URIs.")
	note(now.Before(cert.NotBefore) || now.After(cert.NotAfter), "It is expired or not yet valid.")
	return wrong
}

// addOutside writes an issuer of the outside authority to Dir, and loads it.
func (a *Authority) addOutside(ctx context.Context, cert, root *x509.Certificate) error {
	numbers, err := issuerNumbers(a.o.Dir)
	if err != nil {
		return fmt.Errorf("add outside issuer: %w", err)
	}
	n := outsideFirst
	if last := slices.Max(numbers); last >= n {
		n = last + 1
	}
	dir := filepath.Join(a.o.Dir, strconv.Itoa(n))
	if err := writeWhole(dir, map[string][]byte{issuerCert: certPEM(cert), outsideRoot: certPEM(root)}); err != nil {
		return fmt.Errorf("add outside issuer: %w", err)
	}
	return a.reload(ctx) // where another process was first, with this one or another, the next time finds what is missing
}

// passedOn is what the outside authority was told of one of its issuers' certificates.
type passedOn struct {
	path    string
	serials map[string]bool
}

func readPassed(path string) (*passedOn, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p := &passedOn{path, map[string]bool{}}
	for line := range strings.FieldsSeq(string(b)) {
		p.serials[line] = true
	}
	return p, nil
}

// write keeps those of the revoked that were passed on.
func (p *passedOn) write(revoked []Revoked) error {
	var b bytes.Buffer
	for _, r := range revoked {
		if p.serials[r.Serial] {
			b.WriteString(r.Serial + "\n")
		}
	}
	part := p.path + ".part"
	if err := os.WriteFile(part, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(part, p.path)
}

// passOn tells the outside authority of what was revoked in the record since it was told
// last. It is called after commits, and every few seconds for what it could not take. Its
// own refusals of what it knows already, such as one told by another process, count.
func (a *Authority) passOn(ctx context.Context) {
	a.passing.Lock()
	defer a.passing.Unlock()
	for _, is := range *a.issuers.Load() {
		if !a.ofOutside(is) {
			continue
		}
		if err := a.passOnOf(ctx, is); err != nil {
			a.o.Log.Warn("the outside authority was not told of every revocation: it will be, in a while", zap.Int("issuer", is.n), zap.Error(err))
		}
	}
}

func (a *Authority) passOnOf(ctx context.Context, is *issuer) error {
	p := a.outside.passed[is.n]
	if p == nil {
		var err error
		if p, err = readPassed(filepath.Join(a.o.Dir, strconv.Itoa(is.n), outsidePassed)); err != nil {
			return err
		}
		if a.outside.passed == nil {
			a.outside.passed = map[int]*passedOn{}
		}
		a.outside.passed[is.n] = p
	}
	revoked, err := a.o.Store.RevokedAfter(ctx, is.n, a.o.Now())
	if err != nil {
		return err
	}
	told, failed := 0, error(nil)
	for _, r := range revoked {
		if p.serials[r.Serial] {
			continue
		}
		if failed = a.tellRevoked(ctx, r); failed != nil {
			break
		}
		p.serials[r.Serial] = true
		told++
	}
	if told == 0 {
		return failed
	}
	a.o.Log.Info("the outside authority was told of revocations", zap.Int("issuer", is.n), zap.Int("certificates", told))
	return errors.Join(failed, p.write(revoked))
}

func (a *Authority) tellRevoked(ctx context.Context, r Revoked) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	return client.revoke(ctx, r.Serial, r.Reason)
}
