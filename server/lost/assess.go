package lost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Level is how much a loss put at risk, as the rules suggest: a person decides.
type Level string

// The levels.
const (
	Low    Level = "low"
	Medium Level = "medium"
	High   Level = "high"
)

// The findings of an assessment, by their keys.
const (
	FindEncrypted   = "encrypted"
	FindPasscode    = "passcode_set"
	FindComplies    = "passcode_complies"
	FindUnlocked    = "was_unlocked"
	FindDataOpen    = "data_open"
	FindApp         = "app_present"
	FindCertificate = "certificate_used_since"
	FindExceptions  = "exceptions"
	FindCompliant   = "compliant"
	FindLocked      = "locked_since"
	FindErased      = "erased_since"
	FindContact     = "last_contact"
)

// Finding is one fact that an assessment rests on.
type Finding struct {
	Key   string    `json:"key"`
	Name  string    `json:"name"`            // the question, in words
	Value Answer    `json:"value,omitempty"` // empty: not known
	At    time.Time `json:"at,omitzero"`     // when it was true or happened; zero if that is not known
	Text  string    `json:"text"`            // the answer in words
	Bad   bool      `json:"bad"`             // a rule counts it against the device: also what is not known and would matter
}

// Assessment is what a case put at risk, computed from what was known when the device was
// reported and from what has happened since.
type Assessment struct {
	Case     ward.CaseID `json:"case"`
	At       time.Time   `json:"at"`
	Findings []Finding   `json:"findings"`
	Level    Level       `json:"level"`
	Reasons  []string    `json:"reasons"`
	Aware    time.Time   `json:"aware"`
	Deadline time.Time   `json:"deadline"` // see Deadline
}

// Assess computes what a loss put at risk.
func (s *Service) Assess(ctx context.Context, id ward.CaseID) (Assessment, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return Assessment{}, err
	}
	return s.assess(ctx, c)
}

func (s *Service) assess(ctx context.Context, c Case) (Assessment, error) {
	then, err := s.Store.Snapshot(ctx, c.ID)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return Assessment{}, fmt.Errorf("what was known at case %s: %w", c.ID, err)
	}
	commands, err := s.Store.CaseCommands(ctx, c.ID)
	if err != nil {
		return Assessment{}, fmt.Errorf("commands of case %s: %w", c.ID, err)
	}
	contacts, err := s.contacts(ctx, c.Device, commands)
	if err != nil {
		return Assessment{}, err
	}
	since := sinceThen{uses: then.Known.UsesKnown, used: then.Known.CertificateUsed, seen: then.Enrolment.LastSeen}
	if s.Facts != nil {
		now, err := s.Facts.Known(ctx, c.Device)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return Assessment{}, fmt.Errorf("what is known of %s: %w", c.Device, err)
		}
		if now.UsesKnown {
			since.uses, since.used = true, now.CertificateUsed
		}
	}
	for _, r := range commands {
		since.command(r, contacts[r.Enrolment])
	}
	if len(commands) == 0 {
		e, err := s.Fleet.Current(ctx, c.Device)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return Assessment{}, err
		}
		since.saw(e.LastSeen)
	}
	a := Assessment{Case: c.ID, At: s.Now().Truncate(time.Microsecond), Aware: c.Aware, Deadline: Deadline(c), Findings: findings(c, then.Known, since)}
	a.Level, a.Reasons = judge(a.Findings)
	return a, nil
}

// sinceThen is what has happened since the report.
type sinceThen struct {
	locked time.Time // the device accepted what locks it
	erased time.Time // it accepted an erase
	afresh time.Time // it came back fresh
	seen   time.Time // its last contact
	used   time.Time // its app's certificate, last
	uses   bool      // whether that is known
}

func (s *sinceThen) saw(t time.Time) {
	if t.After(s.seen) {
		s.seen = t
	}
}

func (s *sinceThen) command(r command.Record, c Contact) {
	s.saw(c.LastSeen)
	if r.State != command.Accepted {
		return
	}
	switch r.RequestType {
	case "EnableLostMode", "DeviceLock":
		if s.locked.IsZero() || r.Answered.Before(s.locked) {
			s.locked = r.Answered
		}
	case eraseDevice:
		s.erased, s.afresh = r.Answered, c.Afresh
	}
}

// findings puts the facts into words. What is not known never counts as good.
func findings(c Case, k Known, since sinceThen) []Finding {
	fact := func(key, name string, f Fact) Finding {
		text := map[Answer]string{Yes: "Yes", No: "No", Unknown: "Not known"}[f.Value]
		if f.Text != "" {
			text += ": " + f.Text
		}
		return Finding{Key: key, Name: name, Value: f.Value, At: f.At, Text: text}
	}
	out := []Finding{
		fact(FindEncrypted, "Was it encrypted?", k.Encrypted),
		fact(FindPasscode, "Had it a passcode?", k.PasscodeSet),
		fact(FindComplies, "Did the passcode comply with the policy?", k.PasscodeComplies),
		fact(FindUnlocked, "Was it unlocked when it went missing?", told(c, c.WasUnlocked)),
		fact(FindDataOpen, "Was patient data open on it?", told(c, c.DataOpen)),
		fact(FindApp, "Was the messaging app on it?", k.AppPresent),
		fact(FindCompliant, "Did it comply when it was reported?", k.Compliant),
		exceptions(k),
		used(c, since),
		happened(FindLocked, "Has it accepted a lock or lost mode since?", since.locked, "Accepted by the device", "No: the device has not accepted it so far"),
		erased(since),
	}
	contact := Finding{Key: FindContact, Name: "When did it last make contact?", At: since.seen, Text: "Not known"}
	if !since.seen.IsZero() {
		contact.Value, contact.Text = Yes, stamp(since.seen)
	}
	return append(out, contact)
}

// told is what the reporter said.
func told(c Case, a Answer) Fact {
	f := Fact{Value: a}
	if a != Unknown {
		f.At, f.Text = c.Reported, "as the reporter said"
	}
	return f
}

func exceptions(k Known) Finding {
	f := Finding{Key: FindExceptions, Name: "Were exceptions from the policy in force for it?", At: k.ExceptionsAt, Text: "Not known"}
	switch {
	case k.ExceptionsAt.IsZero():
	case len(k.Exceptions) > 0:
		f.Value, f.Text = Yes, "Yes: "+strings.Join(k.Exceptions, ", ")
	default:
		f.Value, f.Text = No, "No"
	}
	return f
}

// used says whether the app's certificate came in after the device was lost: after the
// moment at which a person last saw it, or else after the report.
func used(c Case, since sinceThen) Finding {
	f := Finding{Key: FindCertificate, Name: "Was the app's certificate used after the device was last seen by a person?", Text: "Not known"}
	lost := c.Reported
	if !c.LastSeenAt.IsZero() && c.LastSeenAt.Before(lost) {
		lost = c.LastSeenAt
	}
	switch {
	case !since.uses:
	case since.used.After(lost):
		f.Value, f.At, f.Text = Yes, since.used, "Yes: last at "+stamp(since.used)
	case since.used.IsZero():
		f.Value, f.Text = No, "No: it was never used"
	default:
		f.Value, f.At, f.Text = No, since.used, "No: last at "+stamp(since.used)
	}
	return f
}

func happened(key, name string, at time.Time, yes, no string) Finding {
	if at.IsZero() {
		return Finding{Key: key, Name: name, Value: No, Text: no}
	}
	return Finding{Key: key, Name: name, Value: Yes, At: at, Text: yes + " at " + stamp(at)}
}

// erased tells of an erase in words that are true: a device accepts it before it does it.
func erased(since sinceThen) Finding {
	f := happened(FindErased, "Has it been erased since?", since.erased, "An erase was accepted by the device", "No")
	switch {
	case since.erased.IsZero():
	case !since.afresh.IsZero():
		f.Text += "; it was erased and came back fresh at " + stamp(since.afresh)
	case since.seen.After(since.erased.Add(sameContact)):
		f.Value, f.Text = Unknown, f.Text+", but it was seen again at "+stamp(since.seen)
	default:
		f.Text += ", not seen since"
	}
	return f
}
