package compliance

import (
	"slices"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/reconcile"
)

// Codes of findings that the want of an app's certificate makes. A device is not refused one
// because it has none.
const (
	codeMissing  = "app-certificate-missing"
	codeRefused  = "app-identity-refused"
	codeWithheld = "app-certificate-withheld"
)

// Standing says whether the device deserves certificates for its apps, and the finding that
// keeps it from it, the worst first: only one that complies, is becoming so, or is within its
// grace does.
func (a Assessment) Standing() (reconcile.Standing, Finding) {
	for _, f := range a.Findings {
		switch {
		case f.Code == codeMissing || f.Code == codeRefused || f.Code == codeWithheld:
		case f.State == Unknown:
			return reconcile.Unclear, f
		case slices.Index(severity, f.State) > slices.Index(severity, InGrace):
			return reconcile.Undeserving, f
		}
	}
	return reconcile.Deserving, Finding{}
}

// withheld adds a finding for each app whose certificate is not renewed, or whose identity
// was taken away, because of another finding. That one has been found already.
func (a *assessor) withheld(out Assessment) Assessment {
	standing, why := out.Standing()
	if standing == reconcile.Deserving {
		return out
	}
	for _, w := range a.v.Want.Apps {
		if !w.NeedsCertificate || w.Remove {
			continue
		}
		c := a.v.Got.Credentials[w.BundleID]
		if c.ValidUntil.IsZero() || a.now.Before(renewable(w, c, standing)) {
			continue
		}
		since := renewable(w, c, standing)
		text := "The certificate of " + w.Name + " is not renewed since " + Stamp(since) + ", and ends " + Stamp(c.ValidUntil) + ": " + why.Text
		if since.IsZero() {
			text = "The certificate of " + w.Name + " is withheld: " + why.Text
		}
		out.Findings = append(out.Findings, Finding{State: out.State, Code: codeWithheld, Subject: w.BundleID, Text: text, Cure: why.Cure, Since: since})
	}
	return out
}

// renewable is from when an app's certificate would be renewed; zero where a declaration
// gave it, which is taken back at once from a device that does not deserve it.
func renewable(w profiles.App, c reconcile.Credential, standing reconcile.Standing) time.Time {
	if w.Delivery == intent.ByManagedApp && standing == reconcile.Undeserving {
		return time.Time{}
	}
	return c.ValidUntil.Add(-c.Life / 3)
}
