package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// ActionExpiring is what the audit log calls a warning that a certificate runs out.
const ActionExpiring = "certificate.expiring"

// Watched is a certificate whose end somebody has to prevent.
type Watched struct {
	Name     string // root, issuer, issuer 2 and so on, server, device, or a push topic
	Subject  string
	Issuer   string
	Serial   string // decimal
	NotAfter time.Time
	Device   ward.DeviceID // of the device identity that ends first
	Count    int           // how many device identities end within the same time; 0 for the others
	Cure     string        // what is to be done in time
	Renews   bool          // it replaces itself in time: only a week before the end something is wrong
	Lost     bool          // an issuer whose key was given up: it signs nothing
	// key is by what a warning is remembered.
	key string
}

// WatchedOf describes a certificate to be watched.
func WatchedOf(name string, c *x509.Certificate, cure string) Watched {
	return Watched{
		Name: name, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.String(), NotAfter: c.NotAfter.UTC(), Cure: cure, key: Hash(c),
	}
}

// DaysLeft returns the whole days until w ends, negative once it has ended.
func (w Watched) DaysLeft(now time.Time) int {
	left := w.NotAfter.Sub(now)
	if left < 0 {
		return -1 - int(-left/day)
	}
	return int(left / day)
}

const day = 24 * time.Hour

// warnings are the days before the end at which a warning is given; 0 is the end itself.
// Each is given once, and of several that were missed only the latest.
var warnings = [...]int{0, 1, 7, 14, 30, 60}

// Due returns the warning that is due: the fewest of the days 60, 30, 14, 7 and 1 that
// are not less than what is left, 0 once it has ended.
func (w Watched) Due(now time.Time) (days int, due bool) {
	for _, days := range warnings {
		if w.Renews && days > 7 {
			break
		}
		if !w.NotAfter.After(now.Add(time.Duration(days) * day)) {
			return days, true
		}
	}
	return 0, false
}

// What has to be done before a certificate of the authority's own ends.
const (
	cureRoot   = "Plan a new authority: every device has to enrol anew under another root."
	cureIssuer = "Make another in good time: ward ca rotate. What it signs never outlives it."
	// Of an outside authority's issuer.
	cureOutside = "Whoever keeps the outside authority replaces it in good time; Ward learns of the new one by itself."
	// Of an issuer whose key is lost, after which another signs or none does.
	cureLost    = "Its key is lost: it signs nothing. Another signs new certificates; nothing tells any more by list or OCSP which of this one's are revoked, so have them replaced."
	cureAllLost = "Its key is lost: it signs nothing, and no other issuer does. Make one: ward ca rotate --key file."
	cureDevice  = "It renews by itself at the device's next check-in, and has been due to for months: these devices have not been seen, or refuse. Have their owners connect them; the device's page says what it answered."
)

// Watched returns the root, the issuers and, of the identities of enrolled devices, the
// one that ends first.
func (a *Authority) Watched(ctx context.Context) ([]Watched, error) {
	out := []Watched{WatchedOf("root", a.root, cureRoot)}
	for _, is := range *a.issuers.Load() {
		w := WatchedOf(is.name(), is.cert, cureIssuer)
		switch w.Lost = is.lost(); {
		case w.Lost && !a.current().lost():
			w.Cure = cureLost
		case w.Lost:
			w.Cure = cureAllLost
		case !is.own():
			w.Cure = cureOutside
		}
		out = append(out, w)
	}
	now := a.o.Now()
	c, err := a.o.Store.SoonestIdentity(ctx, now)
	if ward.KindOf(err) == ward.NotFound {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("soonest end of a device identity: %w", err)
	}
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, fmt.Errorf("soonest end of a device identity: %s: %w", c.Serial, err)
	}
	w := WatchedOf("device", cert, cureDevice)
	w.Device = c.Device
	// Devices that enrolled in one week are warned of together.
	year, week := w.NotAfter.ISOWeek()
	w.key = fmt.Sprintf("device %d-%d", year, week)
	if days, due := w.Due(now); due {
		if w.Count, err = a.o.Store.CountIdentities(ctx, now, now.Add(time.Duration(days)*day)); err != nil {
			return nil, fmt.Errorf("soonest end of a device identity: %w", err)
		}
	}
	return append(out, w), nil
}

// Recorder writes the audit log, in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Watch warns before certificates end: in the log and in the audit log, once for each
// certificate and each of 60, 30, 14, 7 and 1 days before, and when it has ended. Several
// copies of the server warn once together.
type Watch struct {
	// Sources tell what is watched. One that fails keeps no other from being watched.
	Sources []func(ctx context.Context) ([]Watched, error)
	Unit    unit.Unit
	Once    Once // remembers warnings; it may forget them after 30 days
	Audit   Recorder
	Now     func() time.Time
	Log     *zap.Logger
	// Tell tells people a warning, once and within the unit of work that records it; nil tells
	// nobody. daysLeft is of now, which may be less than the day that the warning is for.
	Tell func(ctx context.Context, c Watched, daysLeft int) error
}

// All returns what is watched, from every source, as far as they can tell.
func (w *Watch) All(ctx context.Context) ([]Watched, error) {
	var all []Watched
	var errs []error
	for _, source := range w.Sources {
		found, err := source(ctx)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Do gives the warnings that are due. Call it every few hours or more often.
func (w *Watch) Do(ctx context.Context) error {
	all, err := w.All(ctx)
	errs := []error{err}
	for _, c := range all {
		if days, due := c.Due(w.Now()); due {
			errs = append(errs, w.warn(ctx, c, days))
		}
	}
	return errors.Join(errs...)
}

// warn gives one warning, unless it was given before.
func (w *Watch) warn(ctx context.Context, c Watched, days int) error {
	now := w.Now()
	detail := map[string]string{
		"name": c.Name, "serial": c.Serial, "expires": c.NotAfter.Format(time.RFC3339), "days_left": strconv.Itoa(c.DaysLeft(now)), "warning": strconv.Itoa(days),
	}
	if c.Device != "" {
		detail["device"], detail["count"] = string(c.Device), strconv.Itoa(c.Count)
	}
	said := false
	err := w.Unit.Do(ctx, func(ctx context.Context) error {
		fresh, err := w.Once.UseOnce(ctx, "expiring", c.key+" "+strconv.Itoa(days), []byte{}, now)
		if said = fresh; err != nil || !fresh {
			return err
		}
		if w.Tell != nil {
			if err := w.Tell(ctx, c, c.DaysLeft(now)); err != nil {
				return err
			}
		}
		return w.Audit.Record(ctx, ActionExpiring, c.Name, detail)
	})
	if err != nil {
		return fmt.Errorf("warn of the end of %s: %w", c.Name, err)
	}
	if said {
		w.Log.Warn("certificate expires", zap.String("certificate", c.Name), zap.String("serial", c.Serial), zap.Time("not_after", c.NotAfter),
			zap.Int("days_left", c.DaysLeft(now)), zap.Int("count", c.Count), zap.String("cure", c.Cure))
	}
	return nil
}
