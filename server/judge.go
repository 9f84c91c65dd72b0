package server

import (
	"context"
	"net/url"
	"regexp"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/reconcile"
)

// judge says by its posture whether a device deserves app certificates, and by the policy in
// force what they say: what holds when one is made counts, not what held when it was asked for.
type judge struct{ s *Server }

var _ credential.Judge = judge{}

// Deserves meets credential.Judge. A device that has not told enough of itself yet gets its
// first certificate; none is renewed until it has.
func (j judge) Deserves(ctx context.Context, id ward.DeviceID, app string) error {
	v, err := j.wanting(ctx, id, app)
	if err != nil {
		return err
	}
	standing, f := compliance.Assess(v, j.s.now()).Standing()
	if standing == reconcile.Deserving || standing == reconcile.Unclear && first(v, app) {
		return nil
	}
	return ward.Errorf(ward.Forbidden, "This device counts as %s, and its apps get no certificate until that is put right: %s", f.State, strings.TrimSpace(f.Text+" "+f.Cure))
}

// tokenJudge judges for the apps that fetch their certificates themselves. Their first one
// waits for nothing, for an app that has none can't do even what tells the person what is
// wrong; /authorize keeps it out until the device complies.
type tokenJudge struct{ judge }

var _ credential.Judge = tokenJudge{}

// Deserves meets credential.Judge. A token proves nothing of the key, so it gets no
// certificate that is to be attested.
func (j tokenJudge) Deserves(ctx context.Context, id ward.DeviceID, app string) error {
	v, err := j.wanting(ctx, id, app)
	if err != nil {
		return err
	}
	if a, _ := v.Shared.App(app); a.Certificate.Attested {
		return unattested(app)
	}
	if first(v, app) {
		return nil
	}
	return j.judge.Deserves(ctx, id, app)
}

// unattested refuses a key that nothing attests where the policy wants one that is.
func unattested(app string) error {
	return ward.Errorf(ward.Forbidden, "The policy gives the app %s a certificate for an attested key only, by a declaration, and nothing attests this key.", app)
}

// first reports whether the app's next certificate renews none.
func first(v reconcile.View, app string) bool { return v.Got.Credentials[app].ValidUntil.IsZero() }

// wanting returns the view of a device whose policy gives the app a certificate.
func (j judge) wanting(ctx context.Context, id ward.DeviceID, app string) (reconcile.View, error) {
	v, err := j.view(ctx, id)
	if err != nil {
		return v, err
	}
	if a, ok := v.Shared.App(app); !ok || !a.NeedsCertificate {
		return v, ward.Errorf(ward.Forbidden, "The policy gives the app %s no certificate on this device.", app)
	}
	return v, nil
}

// standing meets reconcile.Loop.
func (j judge) standing(v reconcile.View) reconcile.Standing {
	standing, _ := compliance.Assess(v, j.s.now()).Standing()
	return standing
}

func (j judge) view(ctx context.Context, id ward.DeviceID) (reconcile.View, error) {
	d, err := j.s.fleet.Device(ctx, id)
	if err != nil {
		return reconcile.View{}, err
	}
	e, err := j.s.fleet.Current(ctx, id)
	if err != nil {
		return reconcile.View{}, err
	}
	return j.s.Loop.View(ctx, d, e)
}

// names returns what the certificate of an app on a device says, for a key that is attested
// or not.
func (j judge) names(ctx context.Context, id ward.DeviceID, app string, attested bool) (ca.Names, error) {
	v, err := j.view(ctx, id)
	if err != nil {
		return ca.Names{}, err
	}
	a, ok := v.Shared.App(app)
	if !ok {
		return ca.Names{}, ward.Errorf(ward.Forbidden, "The policy has no app %s on this device.", app)
	}
	if a.Certificate.Attested && !attested {
		return ca.Names{}, unattested(app)
	}
	return certificateNames(a, v.Device, j.s.config.Organisation), nil
}

// certificateNames fills in what the policy says of an app's certificate. A part of the
// subject or a name whose variable has no value on this device is left out, a part that
// becomes too long is cut.
func certificateNames(a profiles.App, d ward.Device, organisation string) ca.Names {
	values := map[string]string{
		"device.id": string(d.ID), "device.serial": d.Serial, "owner.email": d.Email, "organisation": organisation, "app.id": a.BundleID,
	}
	c := a.Certificate
	part := func(template string) string {
		text := []rune(bindNames(template, values, func(s string) string { return s }))
		return string(text[:min(len(text), intent.MostName)])
	}
	n := ca.Names{CommonName: part(c.CommonName), OrganizationalUnit: part(c.OrganizationalUnit), Organization: part(c.Organization), Life: c.Life}
	for _, template := range c.URIs {
		if text := bindNames(template, values, url.PathEscape); text != "" {
			n.URIs = append(n.URIs, text)
		}
	}
	return n
}

var nameVariable = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// bindNames puts values into a template; "" where one of them is empty.
func bindNames(template string, values map[string]string, escape func(string) string) string {
	complete := true
	text := nameVariable.ReplaceAllStringFunc(template, func(found string) string {
		value := values[nameVariable.FindStringSubmatch(found)[1]]
		complete = complete && value != ""
		return escape(value)
	})
	if !complete {
		return ""
	}
	return text
}
