package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/reconcile"
)

// lostFacts tells cases what is known of a device, and what its policy asks for.
type lostFacts struct{ s *Server }

var (
	_ lost.Facts       = lostFacts{}
	_ lost.Escalations = lostFacts{}
	_ lost.Rehearser   = lostFacts{}
)

// factLife is how old what a device told may be and still count.
const factLife = 7 * 24 * time.Hour

// Known meets lost.Facts. Of a device that is not enrolled only the use of its certificates
// is known.
func (f lostFacts) Known(ctx context.Context, id ward.DeviceID) (k lost.Known, err error) {
	if k.CertificateUsed, err = f.used(ctx, id); err != nil {
		return k, err
	}
	k.UsesKnown = !k.CertificateUsed.IsZero() || f.s.config.Authorize.SecretFile != "" // else nobody may ask /authorize
	v, err := judge(f).view(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	now := f.s.now()
	if sec := v.Got.Security; sec != nil && now.Sub(sec.At) < factLife {
		k.Encrypted = told(sec.Value.Encrypted, sec.At)
		k.PasscodeSet = told(sec.Value.PasscodePresent, sec.At)
		k.PasscodeComplies = told(sec.Value.PasscodeCompliant, sec.At)
		if v.Device.Platform == ward.IOS && k.Encrypted.Value == lost.Unknown {
			// Apple Platform Security, "Data Protection": a passcode turns it on.
			k.Encrypted = k.PasscodeSet
			k.Encrypted.Text = "an iPhone or iPad encrypts its data by the passcode"
		}
	}
	k.AppPresent = approvedApp(v, now)
	a := compliance.Assess(v, now)
	k.Compliant = lost.Fact{Value: answerOf(a.State == compliance.Compliant), At: now, Text: string(a.State)}
	if a.State == compliance.Unknown {
		k.Compliant.Value = lost.Unknown
	}
	if v.Policy != nil {
		k.ExceptionsAt = now
		for _, e := range v.Shared.Excepted {
			k.Exceptions = append(k.Exceptions, e.App)
		}
	}
	return k, nil
}

// used returns when an app's certificate of the device was last used to come in.
func (f lostFacts) used(ctx context.Context, id ward.DeviceID) (last time.Time, err error) {
	uses, err := f.s.db.Authorize().Uses(ctx, id)
	if err != nil {
		return last, err
	}
	all, err := f.s.db.Certificates().CertificatesOfDevice(ctx, id)
	if err != nil {
		return last, err
	}
	for _, c := range all {
		if u, ok := uses[c.Serial]; ok && c.Kind == ca.KindApp && u.Used.After(last) {
			last = u.Used
		}
	}
	return last, nil
}

// approvedApp says whether an approved app that the policy installs is on the device.
func approvedApp(v reconcile.View, now time.Time) lost.Fact {
	if v.Got.Managed == nil || now.Sub(v.Got.Managed.At) >= factLife {
		return lost.Fact{}
	}
	out := lost.Fact{Value: lost.No, At: v.Got.Managed.At}
	for _, app := range v.Got.Managed.Value {
		if _, wanted := v.Shared.App(app.BundleID); wanted && app.Status == "Managed" {
			out.Value = lost.Yes
			out.Text = strings.TrimSpace(out.Text + " " + app.BundleID)
		}
	}
	return out
}

func answerOf(yes bool) lost.Answer {
	if yes {
		return lost.Yes
	}
	return lost.No
}

func told(v *bool, at time.Time) lost.Fact {
	if v == nil {
		return lost.Fact{}
	}
	return lost.Fact{Value: answerOf(*v), At: at}
}

// Signs meets lost.Facts.
func (f lostFacts) Signs(ctx context.Context, id ward.DeviceID, since time.Time) (out lost.Signs, err error) {
	v, err := judge(f).view(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if changed, known := v.Got.SIMChanged(since); changed && known {
		out.SIMChanged = v.Got.SIM.Value.Changed
	}
	if off, known := v.Got.PasscodeOff(since); off && known {
		out.PasscodeOff = v.Got.Security.At
	}
	return out, nil
}

// For meets lost.Escalations.
func (f lostFacts) For(ctx context.Context, id ward.DeviceID) (lost.Escalation, error) {
	v, err := judge(f).view(ctx, id)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return lost.Escalation{}, err
	}
	e := v.Policy.Escalation() // of a nil policy the default
	out := lost.Escalation{LocateEvery: e.LocateEvery, LocateFor: e.LocateFor, ProposeAfter: e.ProposeAfter}
	out.ProposeOn = append(out.ProposeOn, e.ProposeOn...)
	return out, nil
}

// Would meets lost.Rehearser: it plans for a case that nobody opened.
func (f lostFacts) Would(ctx context.Context, d ward.Device, e ward.Enrolment, k lost.Kind) ([]string, error) {
	if e.ID == "" {
		return []string{"No command would be sent: the device is not enrolled, so that none can reach it"}, nil
	}
	v, err := f.s.Loop.View(ctx, d, e)
	if err != nil {
		return nil, err
	}
	const rehearsal = "rehearsal"
	subject := profiles.Subject{
		Device: d, Supervised: v.Got.Supervised(), Rights: e.Rights, Kind: e.Kind,
		Case: &profiles.Case{ID: rehearsal, Kind: profiles.CaseKind(k), Reported: f.s.now()},
	}
	want := profiles.Desired(subject, v.Policy, f.s.now())
	steps, _ := reconcile.Plan(want, v.Got, nil, reconcile.Case{ID: rehearsal}, f.s.now())
	var out []string
	for _, s := range steps {
		requestType, _, err := f.s.dryCompiler().Compile(ctx, s, d, e, f.s.compiler.NewUUID())
		if err != nil {
			return nil, err
		}
		out = append(out, requestType+" would be sent")
	}
	if want.Locate {
		out = append(out, "DeviceLocation would be sent, once lost mode is accepted")
	}
	for _, l := range want.Limits {
		if l.ID == intent.LoseDevice && l.Why != "" && l.Verdict != intent.Enforced && !slices.Contains(out, l.Why) {
			out = append(out, l.Why)
		}
	}
	return out, nil
}

// dryCompiler makes commands that nobody gets: it gives out no token and keeps no PIN.
func (s *Server) dryCompiler() *applemdm.Compiler {
	c := *s.compiler
	c.PIN = func(context.Context, ward.Device, ward.Enrolment, ward.CaseID) (string, error) { return "000000", nil }
	return &c
}
