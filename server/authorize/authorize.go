// Package authorize answers, for whatever stands before an organisation's own services,
// whether the holder of a client certificate may come in now: by the record of the
// certificate, the state of its device and the last verdict on it. It proves nothing
// itself: that the client holds the certificate's key is for TLS, here or at the proxy
// that asks. It issues and revokes nothing, and knows neither HTTP nor SQL.
package authorize

import (
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
)

// Reason says in one word why somebody is let in or not. It goes into a header and into
// a metric, so the words are few and stay.
type Reason string

// The reasons. Those up to Stale are told of a certificate that Ward issued, in the order
// in which they are looked at.
const (
	Allowed      Reason = "allowed"
	WrongKind    Reason = "wrong-kind" // a device's identity, say, where an app's is wanted
	Lost         Reason = "lost"
	Unenrolled   Reason = "unenrolled" // its device left management, was erased, or enrolled anew since
	Revoked      Reason = "revoked"
	Expired      Reason = "expired" // or not valid yet
	WrongApp     Reason = "wrong-app"
	Quarantined  Reason = "quarantined"
	NonCompliant Reason = "non-compliant" // and no grace is left
	Stale        Reason = "stale"         // whether its device complies is not known, or was known too long ago

	Unknown       Reason = "unknown-certificate" // Ward did not issue it
	NoCertificate Reason = "no-certificate"
	Unreadable    Reason = "bad-certificate" // what was passed is no certificate
	Untrusted     Reason = "untrusted-proxy" // a certificate was passed by somebody who is not known to pass any
	Failed        Reason = "failed"          // the record could not be asked
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{
		Allowed, WrongKind, Lost, Unenrolled, Revoked, Expired, WrongApp, Quarantined, NonCompliant, Stale,
		Unknown, NoCertificate, Unreadable, Untrusted, Failed,
	}
}

// Text says the same to people.
func (r Reason) Text() string {
	switch r {
	case Allowed:
		return "It may come in."
	case WrongKind:
		return "This certificate is not one of the kind that is let in here."
	case Lost:
		return "The device has been reported lost or stolen."
	case Unenrolled:
		return "The device is no longer managed under the enrolment of this certificate."
	case Revoked:
		return "This certificate was revoked."
	case Expired:
		return "This certificate has expired or is not valid yet."
	case WrongApp:
		return "This certificate is another app's."
	case Quarantined:
		return "The device waits for a person to sort it."
	case NonCompliant:
		return "The device does not comply with the policy."
	case Stale:
		return "Whether the device complies is not known."
	case Unknown:
		return "This certificate was not issued here."
	case NoCertificate:
		return "A client certificate is needed."
	case Unreadable:
		return "What was passed is no certificate."
	case Untrusted:
		return "Only a proxy that knows the secret may pass certificates."
	case Failed:
		return "The record could not be asked."
	}
	return string(r)
}

// The kinds of certificate that may be wanted, in the words of the record.
const (
	App     = "app"
	Network = "network"
)

// Want says what is let in at one place.
type Want struct {
	Kind string // App or Network
	App  string // the bundle id of the one app; empty: any. Not for Network
}

// Subject is a certificate of the record with all that decides about it.
type Subject struct {
	Serial, Kind, App   string
	NotBefore, NotAfter time.Time
	Revoked             time.Time // zero while it is valid

	Device    ward.DeviceID       // empty if it has none
	State     ward.DeviceState    // of the device; empty if there is none
	Group     string              // of the device
	Email     string              // of the device's owner
	Enrolment ward.EnrolmentState // of the certificate's enrolment; empty if there is none
	Case      bool                // an open case says that the device is lost
	Verdict   Verdict             // zero if the device was never judged
}

// Rules are what an organisation may choose.
type Rules struct {
	// AllowUnknown lets in devices of which it is not known whether they comply.
	AllowUnknown bool
}

// Decide says whether the holder of a certificate may come in at a time. It is pure.
func (r Rules) Decide(s Subject, w Want, now time.Time) Reason {
	switch {
	case s.Kind != w.Kind || s.Device == "":
		return WrongKind
	case s.Case || s.State == ward.Lost:
		return Lost
	case s.State != ward.Managed || s.Enrolment != ward.EnrolmentActive:
		return Unenrolled
	case !s.Revoked.IsZero():
		return Revoked
	case now.Before(s.NotBefore) || now.After(s.NotAfter):
		return Expired
	case w.App != "" && s.App != w.App:
		return WrongApp
	case s.Group == fleet.QuarantineGroup:
		return Quarantined
	}
	switch standing(s.Verdict.At(now)) {
	case good:
		return Allowed
	case bad:
		return NonCompliant
	default:
		if r.AllowUnknown {
			return Allowed
		}
		return Stale
	}
}

// class is what a verdict comes to at the door.
type class int

const (
	good class = iota
	unknown
	bad
)

// standing sorts the states of devices. What is on its way, and what has time left to be
// put right, lets in; what is not known does not count as good.
func standing(s compliance.State) class {
	switch s {
	case compliance.Compliant, compliance.Pending, compliance.InGrace:
		return good
	case compliance.NonCompliant, compliance.Lost, compliance.Retired:
		return bad
	case compliance.Unknown:
	}
	return unknown
}
