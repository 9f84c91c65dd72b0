package server

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/seal"
)

// openEstate puts together what keeps the posture of every device.
func (s *Server) openEstate(context.Context, *seal.Master) (err error) {
	s.Estate, err = estate.New(estate.Options{Store: s.db.Estate(), Assess: s.Devices.Assess, Overlap: s.db.PostureOverlap(), Now: s.now, Changed: s.postureChanged})
	s.Loop.Judged = s.judged
	return err
}

// judged keeps what a device that was planned comes to: for whoever asks whether it may come
// in, and for those who look after it. It returns when that changes by itself.
func (s *Server) judged(ctx context.Context, v reconcile.View) (time.Time, error) {
	next, err := s.Authorizer.Judged(ctx, v)
	if err != nil {
		return next, err
	}
	turns, err := s.Estate.Record(ctx, v)
	if err == nil && !turns.IsZero() && (next.IsZero() || turns.Before(next)) {
		next = turns
	}
	return next, err
}

// postureChanged tells the programs that asked for it that a device no longer complies, or
// does again. A loss, and a device that is not heard from, are told by others or by nobody.
func (s *Server) postureChanged(ctx context.Context, was *estate.Device, is estate.Device) error {
	var before compliance.State
	if was != nil {
		before = was.State
	}
	m := notify.Message{Device: is.ID, Link: "/devices/" + string(is.ID)}
	name := cmp.Or(is.Name, is.Serial, string(is.ID))
	switch {
	case is.State == compliance.NonCompliant && before != compliance.NonCompliant:
		m.Topic, m.Subject = notify.NonCompliant, name+" does not comply"
		var why []string
		for _, f := range is.Findings {
			if f.State == compliance.NonCompliant {
				why = append(why, f.Text)
			}
		}
		m.Body = strings.Join(why, "\n")
	case before == compliance.NonCompliant && is.State == compliance.Compliant:
		m.Topic, m.Subject = notify.Compliant, name+" complies again"
	default:
		return nil
	}
	return s.Notify.Tell(ctx, m)
}
