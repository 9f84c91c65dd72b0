package estate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// Span is how long one finding stood on a device, without a break.
type Span struct {
	Device        ward.DeviceID
	Code, Subject string
	Site, Group   string // where the device belonged at last
	Platform      ward.Platform
	Ownership     ward.Ownership
	From          time.Time // since when it was found
	To            time.Time // zero while it stands
	Ended         Ending    // empty while it stands
}

// Ending says why a finding stands no more.
type Ending string

// The endings. Only the first says that what was wrong was put right: a silent device, one
// that is lost and one that left prove nothing, and neither does a policy that stops asking.
const (
	Cured     Ending = "cured"   // the device told that it is so no more
	Forgotten Ending = "unknown" // what it told is too old to go by; it may go on
	Overtaken Ending = "lost"    // it was reported lost, and is judged by that alone
	Left      Ending = "retired" // it is managed no more
	Allowed   Ending = "allowed" // it is still so, and the policy minds no more
)

// spanKey tells the findings of a device from each other.
type spanKey struct{ code, subject string }

// turn is what a change of a device's posture does to its spans.
type turn struct {
	begin []Span             // From is when the finding says that it began
	end   map[spanKey]Ending // of spans that stand
	moved bool               // those that go on belong elsewhere now
}

// turnOf compares two postures of a device. was is nil for its first, is is retired
// for one that was deleted. It is pure.
func turnOf(was, is *Device, at time.Time) turn {
	out := turn{end: map[spanKey]Ending{}}
	had, has := found(was), found(is)
	for k := range had {
		if _, still := has[k]; !still {
			out.end[k] = ending(k, is)
		}
	}
	for k, f := range has {
		if _, before := had[k]; before {
			continue
		}
		s := Span{Device: is.ID, Code: k.code, Subject: k.subject, Site: is.Site, Group: is.Group, Platform: is.Platform, Ownership: is.Ownership, From: at}
		if !f.Since.IsZero() && f.Since.Before(at) {
			s.From = f.Since
		}
		out.begin = append(out.begin, s)
	}
	out.moved = was != nil && (was.Site != is.Site || was.Group != is.Group || was.Platform != is.Platform || was.Ownership != is.Ownership)
	return out
}

// found returns the findings of a device that spans are kept of: what is wrong or not known.
func found(d *Device) map[spanKey]Finding {
	if d == nil {
		return nil
	}
	out := make(map[spanKey]Finding, len(d.Findings))
	for _, f := range d.Findings {
		k := spanKey{f.Code, f.Subject}
		if _, twice := out[k]; !twice {
			out[k] = f
		}
	}
	return out
}

// ending says why a finding is gone, by the posture without it.
func ending(k spanKey, is *Device) Ending {
	switch {
	case is.State == compliance.Retired || !is.Managed:
		return Left
	case is.State == compliance.Lost:
		return Overtaken
	case is.silentOn(k.code):
		return Forgotten
	case k.code == codeBlocked && slices.Contains(is.Apps, k.subject):
		return Allowed // excepted, blocked no more, or kept from running
	}
	return Cured
}

// blind are the findings that say that nothing, or nothing of some kind, is known of a
// device; a finding of that kind which went at the same time is not put right.
var blind = map[string]func(code string) bool{
	"never-told":       func(string) bool { return true },
	"enrolling":        func(string) bool { return true },
	"not-enrolled":     func(string) bool { return true },
	"quarantined":      func(string) bool { return true },
	"apps-unknown":     func(code string) bool { return code == codeBlocked || code == "app-too-old" },
	"passcode-unknown": func(code string) bool { return code == "no-passcode" || code == "weak-passcode" },
}

// silentOn reports whether the device leaves open what a finding is about.
func (d *Device) silentOn(code string) bool {
	for _, f := range d.Findings {
		if covers := blind[f.Code]; covers != nil && f.Code != code && covers(code) {
			return true
		}
	}
	return false
}

// Spans keeps how long findings stand.
type Spans interface {
	// LastSpan returns the newest span of a finding on a device; ok is false if there is none.
	LastSpan(ctx context.Context, id ward.DeviceID, code, subject string) (s Span, ok bool, err error)
	// BeginSpan keeps a span that stands.
	BeginSpan(ctx context.Context, s Span) error
	// ResumeSpan has a span that ended stand again, at the place of s.
	ResumeSpan(ctx context.Context, s Span) error
	// EndSpan ends the span of a finding that stands; the place is that of its end.
	EndSpan(ctx context.Context, id ward.DeviceID, code, subject string, at time.Time, why Ending) error
	// MoveSpans has the spans of a device that stand belong where it is now.
	MoveSpans(ctx context.Context, d *Device) error
}

// settleSpans keeps in the unit of work in ctx what a change of a posture does to the spans
// of the device. was is nil for its first posture.
//
// A finding that comes back after the device was silent goes on in its old span: it was
// there all along, for all that anybody knows. After any other ending a new span begins.
func (s *Service) settleSpans(ctx context.Context, was *Device, is Device, at time.Time) error {
	t := turnOf(was, &is, at)
	for k, why := range t.end {
		if err := s.Store.EndSpan(ctx, is.ID, k.code, k.subject, at, why); err != nil {
			return fmt.Errorf("end span %s of %s: %w", k.code, is.ID, err)
		}
	}
	if t.moved {
		if err := s.Store.MoveSpans(ctx, &is); err != nil {
			return fmt.Errorf("move spans of %s: %w", is.ID, err)
		}
	}
	for _, b := range t.begin {
		if err := s.beginSpan(ctx, b, at); err != nil {
			return fmt.Errorf("begin span %s of %s: %w", b.Code, b.Device, err)
		}
	}
	return nil
}

func (s *Service) beginSpan(ctx context.Context, b Span, at time.Time) error {
	last, ok, err := s.Store.LastSpan(ctx, b.Device, b.Code, b.Subject)
	switch {
	case err != nil:
		return err
	case ok && last.To.IsZero(): // it stands already
		return nil
	case ok && last.Ended == Forgotten:
		b.From = last.From
		return s.Store.ResumeSpan(ctx, b)
	case ok && b.From.Before(last.To):
		b.From = at
	}
	return s.Store.BeginSpan(ctx, b)
}
