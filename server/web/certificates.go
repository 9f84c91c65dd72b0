package web

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Certificate is what the page of a device says of one of its certificates.
type Certificate struct {
	Serial   string    // decimal
	Kind     string    // device, app or network
	App      string    // bundle id, of an app's
	Issuer   string    // common name
	Issued   time.Time // zero where that is not known
	NotAfter time.Time
	// AttestedBy is by whose word it is proven that the key can't leave the device's hardware,
	// apple or tpm; empty where it is not. Hardware is the serial number that was proven with
	// it; empty under user enrolment.
	AttestedBy, Hardware string
	Manages              bool      // whether the device is managed by it now
	RenewalDue           time.Time // since when its renewal is due; zero while it is not
	Revoked              time.Time // zero while it is not
	LastUsed             time.Time // zero where that is not known
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
		if !c.RenewalDue.IsZero() {
			said = append(said, "renewal pending since "+at(c.RenewalDue, now).Exact)
		}
		said = append(said, "from "+c.Issuer)
		said = append(said, protection(c))
		if !c.LastUsed.IsZero() {
			said = append(said, "last used "+at(c.LastUsed, now).Ago)
		}
		h.Note = strings.Join(append(said, "serial number "+c.Serial), " · ")
		out[i] = h
	}
	return out, nil
}

// protection says what is known of where a certificate's key is.
func protection(c Certificate) string {
	said := "key attested by " + c.AttestedBy
	switch c.AttestedBy {
	case "":
		return "key not attested"
	case "apple":
		said = "key attested by Apple"
	case "tpm":
		said = "key attested by a TPM"
	}
	if c.Hardware != "" {
		said += ": serial " + c.Hardware
	}
	return said
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
