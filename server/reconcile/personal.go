package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/fleet"
)

// Standing is whether a device deserves certificates for its apps.
type Standing int

// The standings. What is not clear takes nothing away and gives nothing new.
const (
	Deserving   Standing = iota // it complies, is becoming so, or is within its grace
	Unclear                     // it has not told enough, or too long ago
	Undeserving                 // it does not comply, or is lost
)

// Identities are not asked for again for as long after a device refused one. Most stamps is
// how often that is tried with one certificate.
const (
	identityPatience = 6 * time.Hour
	mostStamps       = 64
)

// personal makes what the devices of a class share one device's own, in a copy: the
// identities that declarations give its apps come and go with its standing, and are made
// anew once two thirds of their lives have passed since the device enrolled and after a
// revocation; and a declared configuration that holds the device's own values changes with
// them. again is when something of that is due next; zero for never.
type personal struct {
	device   ward.Device
	enrolled time.Time
	got      Observed
	standing Standing
	now      time.Time

	want  profiles.State
	again time.Time
}

func (p *personal) make() {
	stamps, drop := map[string]string{}, map[string]bool{}
	for _, a := range declaredApps(p.want.Apps) {
		stamp, give := p.stamp(a)
		if !give {
			drop[a.BundleID] = true
		}
		stamps[a.BundleID] = stamp
	}
	p.own(stamps)
	var list []profiles.Declaration
	set := p.want.DeclarationsToken
	for _, d := range p.want.Declarations {
		bundle := p.bundle(d)
		switch {
		case d.App != "" && drop[d.App] && d.Bare == nil:
			set = stamped(set, "without "+d.Identifier)
			continue
		case d.App != "" && drop[d.App]:
			d.Payload, d.Token = d.Bare, stamped(d.Token, "bare")
			set = stamped(set, d.Token)
		case bundle != "" && stamps[bundle] != "":
			d.Token = stamped(d.Token, stamps[bundle])
			set = stamped(set, d.Token)
		}
		list = append(list, d)
	}
	p.want.Declarations, p.want.DeclarationsToken = list, set
}

// declaredApps lists the apps that declarations manage.
func declaredApps(apps []profiles.App) []profiles.App {
	return slices.DeleteFunc(slices.Clone(apps), func(a profiles.App) bool { return !a.Declared || a.Remove })
}

// own adds the device's own values to the stamps of apps whose configuration holds them.
func (p *personal) own(stamps map[string]string) {
	for _, d := range p.want.Documents {
		if d.Identity {
			continue
		}
		for _, v := range []struct{ name, value string }{{"device.name", p.device.Name}, {"user.email", p.device.Email}} {
			if strings.Contains(strings.ReplaceAll(string(d.Data), " ", ""), "{{"+v.name+"}}") {
				stamps[d.App] += fmt.Sprintf(" %s %q", v.name, v.value)
			}
		}
	}
}

// bundle returns the app to which a declaration belongs that refers to a document, or to
// what does; "" for any other.
func (p *personal) bundle(d profiles.Declaration) string {
	for _, doc := range p.want.Documents {
		if d.App == doc.App || d.Refers(doc.Hash) {
			return doc.App
		}
	}
	return ""
}

// stamp returns what tells this identity of an app from those before it, empty for the
// first and for an app without one, and whether the device may have it.
func (p *personal) stamp(a profiles.App) (stamp string, give bool) {
	if a.Delivery != intent.ByManagedApp {
		return "", true
	}
	if p.standing == Undeserving {
		return "", false
	}
	c := p.got.Credentials[a.BundleID]
	n, due := p.period(a)
	if p.standing == Unclear {
		for ; n >= 0; n-- {
			if k, _, ok := p.held(a, baseStamp(c, n)); ok {
				return numbered(baseStamp(c, n), k), true
			}
		}
		return "", false
	}
	p.at(due)
	base := baseStamp(c, n)
	k, refused, ok := p.held(a, base)
	if ok && refused && k < mostStamps {
		if retry := p.got.Declarations.At.Add(identityPatience); retry.After(p.now) {
			p.at(retry)
		} else {
			k++
		}
	}
	return numbered(base, k), true
}

// period counts the parts of a life that have passed since the device enrolled, after each
// of which the identity is made anew, and says when the next is over.
func (p *personal) period(a profiles.App) (n int, next time.Time) {
	life := a.Certificate.Life
	if life == 0 {
		life = intent.DefaultLife
	}
	part := life * 2 / 3
	if p.enrolled.IsZero() || p.now.Before(p.enrolled) {
		return 0, time.Time{}
	}
	n = int(p.now.Sub(p.enrolled) / part)
	return n, p.enrolled.Add(time.Duration(n+1) * part)
}

func (p *personal) at(t time.Time) {
	if t.After(p.now) && (p.again.IsZero() || t.Before(p.again)) {
		p.again = t
	}
}

// held finds the version of an identity that the device says it holds, among those that
// follow from a stamp, and whether it calls it invalid.
func (p *personal) held(a profiles.App, base string) (n int, refused, ok bool) {
	if p.got.Declarations == nil {
		return 0, false, false
	}
	for _, d := range p.want.Declarations {
		if d.App != a.BundleID || d.Bare == nil {
			continue
		}
		i := slices.IndexFunc(p.got.Declarations.Value, func(h fleet.Declaration) bool { return h.Identifier == d.Identifier })
		if i < 0 {
			return 0, false, false
		}
		h := p.got.Declarations.Value[i]
		for n := range mostStamps + 1 {
			if h.Token == p.token(d, numbered(base, n)) {
				return n, h.Valid == Invalid, true
			}
		}
	}
	return 0, false, false
}

// token is the token of a declaration under a stamp, with the device's own values.
func (p *personal) token(d profiles.Declaration, stamp string) string {
	stamps := map[string]string{d.App: stamp}
	p.own(stamps)
	if stamps[d.App] == "" {
		return d.Token
	}
	return stamped(d.Token, stamps[d.App])
}

// baseStamp is empty for the first identity.
func baseStamp(c Credential, n int) (stamp string) {
	if !c.Revoked.IsZero() {
		stamp = fmt.Sprintf("revoked %d ", c.Revoked.UnixMicro())
	}
	if n > 0 {
		stamp += fmt.Sprintf("renewal %d", n)
	}
	return stamp
}

func numbered(base string, n int) string {
	if n == 0 {
		return base
	}
	return fmt.Sprintf("%s try %d", base, n)
}

// personal makes what is wanted the device's own, where anything of it is.
func (l *Loop) personal(ctx context.Context, v *View) (err error) {
	v.Shared = v.Want
	if len(v.Want.Documents) == 0 {
		return nil
	}
	p := personal{device: v.Device, enrolled: v.Enrolment.Enrolled, got: v.Got, now: l.Now(), want: v.Want}
	if l.Standing != nil {
		judged := *v
		if judged.Attempts, err = l.Fleet.Attempts(ctx, v.Enrolment.ID); err != nil {
			return err
		}
		p.standing = l.Standing(judged)
	}
	p.make()
	v.Want, v.again = p.want, p.again
	return nil
}
