package lost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/unit"
)

// report opens the case of one device. held says that the brake held it, which is
// committed: the attempt stands in the audit log.
func (s *Service) report(ctx context.Context, r Report, id ward.DeviceID, by holder) (c Case, held, err error) {
	then := s.asKnown(ctx, id)
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		held = nil
		if err := s.closeGate(ctx); err != nil {
			return err
		}
		d, err := s.Fleet.Device(ctx, id)
		if err != nil {
			return err
		}
		then.Device = d
		use, identified, err := by(ctx, d)
		if err != nil {
			return err
		}
		c = s.caseOf(ctx, r, d)
		c.Identified = or(r.Identified, or(identified, NotRecorded))
		if r.Drill == Dry {
			return s.rehearse(ctx, c, then)
		}
		use.Kind, use.Device, use.Site, use.Hash = brake.Report, id, d.Site, string(c.ID)
		switch open, err := s.Store.OpenCase(ctx, id); {
		case err == nil:
			use.Hash = string(open.ID)
			if c, err = s.again(ctx, open, c); err != nil {
				return err
			}
			held, err = s.countSince(ctx, c, use)
			return err
		case ward.KindOf(err) != ward.NotFound:
			return err
		}
		counted, why, err := s.take(ctx, use)
		if held = why; held != nil || err != nil {
			return err
		}
		if err := s.open(ctx, c, then); err != nil || counted {
			return err
		}
		return s.openedUncounted(ctx, c)
	})
	return c, held, err
}

// caseOf returns the case that a report would open.
func (s *Service) caseOf(ctx context.Context, r Report, d ward.Device) Case {
	who, now := ward.ActorFrom(ctx), s.Now().Truncate(time.Microsecond)
	c := Case{
		ID: s.NewID(), Device: d.ID, Kind: r.Kind, State: Open, ReportedBy: who.Person, ReportedName: who.Name, Reported: now, Aware: now,
		LastSeenWhere: r.LastSeenWhere, LastSeenAt: r.LastSeenAt, WasUnlocked: r.WasUnlocked, DataOpen: r.DataOpen, Note: r.Note, Drill: r.Drill,
		Message: r.Message, Phone: r.Phone, Footnote: r.Footnote,
	}
	if c.Drill == Dry {
		c.State = Rehearsal
	}
	return c
}

// again keeps a second report, told, of a device whose case c is open. A drill that
// somebody reports in earnest is one no longer.
func (s *Service) again(ctx context.Context, c, told Case) (Case, error) {
	if err := s.note(ctx, c.ID, EventReportedAgain, "Reported again; this case was open already. Reporter known by: "+told.Identified+"."+tellings(told)); err != nil {
		return c, err
	}
	if err := s.Audit.Record(ctx, ActionLost, string(c.Device), map[string]string{"case": string(c.ID), "again": "true"}); err != nil {
		return c, err
	}
	c, err := s.learn(ctx, c, told)
	if err != nil {
		return c, err
	}
	if c.Drill != Live || told.Drill == Live {
		return c, nil
	}
	c.Drill, c.Aware = Real, told.Aware
	if err := s.Store.SetReal(ctx, c.ID, c.Aware); err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	if err := s.note(ctx, c.ID, EventReported, "This is a drill no longer: the device was reported "+string(told.Kind)+" in earnest"); err != nil {
		return c, err
	}
	if err := s.Audit.Record(ctx, ActionReal, string(c.ID), map[string]string{"device": string(c.Device)}); err != nil {
		return c, err
	}
	return c, s.tellOpened(ctx, c)
}

// learn keeps with a case what a second report knew and the first did not, or knew worse: what
// is stolen stays stolen, and data that somebody saw open was open. The timeline has both.
func (s *Service) learn(ctx context.Context, c, told Case) (Case, error) {
	was := c
	if told.Kind == Stolen {
		c.Kind = Stolen
	}
	worse := func(a, b Answer) Answer {
		if b == Yes || a == Unknown {
			return b
		}
		return a
	}
	c.WasUnlocked, c.DataOpen = worse(c.WasUnlocked, told.WasUnlocked), worse(c.DataOpen, told.DataOpen)
	c.LastSeenWhere = or(c.LastSeenWhere, told.LastSeenWhere)
	if c.LastSeenAt.IsZero() {
		c.LastSeenAt = told.LastSeenAt
	}
	if c == was {
		return c, nil
	}
	if err := s.Store.Learn(ctx, c); err != nil {
		return was, fmt.Errorf("case %s: %w", c.ID, err)
	}
	if c.Kind == was.Kind {
		return c, nil
	}
	if err := s.note(ctx, c.ID, EventReported, "It counts as stolen from now on"); err != nil {
		return c, err
	}
	if err := s.Planner.Replan(ctx, c.Device); err != nil { // more is done to what was stolen
		return c, fmt.Errorf("plan %s: %w", c.Device, err)
	}
	return c, nil
}

// tellings puts into words what a reporter knew.
func tellings(c Case) string {
	var b strings.Builder
	if c.LastSeenWhere != "" {
		b.WriteString(" Last seen: " + c.LastSeenWhere + ".")
	}
	if !c.LastSeenAt.IsZero() {
		b.WriteString(" Last seen at " + stamp(c.LastSeenAt) + ".")
	}
	if c.WasUnlocked != Unknown {
		b.WriteString(" Unlocked: " + string(c.WasUnlocked) + ".")
	}
	if c.DataOpen != Unknown {
		b.WriteString(" Patient data open: " + string(c.DataOpen) + ".")
	}
	if c.Note != "" {
		b.WriteString(" " + c.Note)
	}
	return b.String()
}

// open does all that a report causes, within the unit of work in ctx.
func (s *Service) open(ctx context.Context, c Case, then Snapshot) error {
	ok, err := s.Store.Add(ctx, c)
	if err != nil {
		return fmt.Errorf("open case of %s: %w", c.Device, err)
	}
	if !ok {
		return fmt.Errorf("open case of %s: it has one that could not be seen", c.Device)
	}
	if err := s.began(ctx, c, then, "Reported "+string(c.Kind)); err != nil {
		return err
	}
	if then.Device.State == ward.Managed {
		if err := s.Fleet.SetDeviceState(ctx, c.Device, ward.Lost); err != nil {
			return err
		}
	}
	detail := map[string]string{"case": string(c.ID), "kind": string(c.Kind), "identified": c.Identified}
	if c.Drill != Real {
		detail["drill"] = string(c.Drill)
	}
	serials, err := s.Certificates.RevokeApps(ctx, c.Device, string(c.Kind))
	if err != nil {
		return fmt.Errorf("revoke app certificates of %s: %w", c.Device, err)
	}
	if len(serials) > 0 {
		detail["revoked"] = strings.Join(serials, " ")
		unit.AfterCommit(ctx, s.AfterRevoke)
		if err := s.keep(ctx, c.ID, Event{Kind: EventRevoked, Text: revokedText + strings.Join(serials, ", "), Serials: serials}); err != nil {
			return err
		}
	}
	if err := s.Audit.Record(ctx, ActionLost, string(c.Device), detail); err != nil {
		return err
	}
	if err := s.Planner.Replan(ctx, c.Device); err != nil {
		return fmt.Errorf("plan %s: %w", c.Device, err)
	}
	return s.tellOpened(ctx, c)
}

// revokedText begins the entry that names the certificates that were revoked.
const revokedText = "App certificates revoked: "

// began keeps how a case that was added began.
func (s *Service) began(ctx context.Context, c Case, then Snapshot, text string) error {
	if err := s.Store.SaveSnapshot(ctx, c.ID, then); err != nil {
		return fmt.Errorf("what was known of %s: %w", c.Device, err)
	}
	if w := c.Drill.Words(); w != "" {
		text = w + ": " + text
	}
	if err := s.note(ctx, c.ID, EventReported, text+". Reporter known by: "+c.Identified); err != nil {
		return err
	}
	if then.Missing == "" {
		return nil
	}
	return s.note(ctx, c.ID, EventReported, "What the device had told of itself could not be read, and is not kept with this case")
}

// tellOpened tells the people on call that a device is missing.
func (s *Service) tellOpened(ctx context.Context, c Case) error {
	by := or(c.ReportedName, "Ward")
	return s.tell(ctx, c, notify.Message{
		Topic: notify.CaseOpened, Subject: "A device was reported " + string(c.Kind),
		Body: fmt.Sprintf("%s reported a device %s at %s. What locks it is queued, and its app certificates are revoked. Decide by %s whether the loss must be reported (article 33 of the UK GDPR).",
			by, c.Kind, stamp(c.Reported), stamp(Deadline(c))),
	})
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
