package web

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Certificate is what the page of a device says of one of its certificates.
type Certificate struct {
	Serial   string // decimal
	Kind     string // device, app or network
	App      string // bundle id, of an app's
	Issuer   string // common name
	NotAfter time.Time
	Attested bool      // whether the device has proven that the key can't leave its hardware
	Manages  bool      // whether the device is managed by it now
	Revoked  time.Time // zero while it is not
	LastUsed time.Time // zero where that is not known
}

// identities lists the certificates of a device.
func (s *Server) identities(ctx context.Context, id ward.DeviceID, now time.Time) ([]holding, error) {
	if s.Certificates == nil {
		return nil, nil
	}
	all, err := s.Certificates(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]holding, len(all))
	for i, c := range all {
		h := holding{Name: certificateName(c), Tag: tag{"Valid", "good", "check"}}
		said := []string{"until " + at(c.NotAfter, now).Exact}
		switch {
		case !c.Revoked.IsZero():
			h.Tag = tag{"Revoked", "bad", "cross"}
			said = append(said, "revoked "+at(c.Revoked, now).Exact)
		case !c.NotAfter.After(now):
			h.Tag = tag{"Expired", "warn", "clock"}
		}
		said = append(said, "from "+c.Issuer)
		if c.Attested {
			said = append(said, "key attested")
		} else {
			said = append(said, "key not attested")
		}
		if !c.LastUsed.IsZero() {
			said = append(said, "last used "+at(c.LastUsed, now).Ago)
		}
		h.Note = strings.Join(append(said, "serial number "+c.Serial), " · ")
		out[i] = h
	}
	return out, nil
}

// certificateName says what a certificate is for.
func certificateName(c Certificate) string {
	switch {
	case c.Manages:
		return "Management, in use"
	case c.Kind == "device":
		return "Management, earlier"
	case c.App != "":
		return "App " + c.App
	case c.Kind == "network":
		return "Network"
	}
	return c.Kind
}
