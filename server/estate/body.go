package estate

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// body is how a posture is written down: short keys and times in microseconds, for there are
// many. It holds no name, owner, address or serial number.
type body struct {
	Enrolment  ward.EnrolmentID `json:"e,omitempty"`
	Site       string           `json:"s,omitempty"`
	Group      string           `json:"g,omitempty"`
	Platform   ward.Platform    `json:"p,omitempty"`
	OSVersion  string           `json:"v,omitempty"`
	Ownership  ward.Ownership   `json:"o,omitempty"`
	Supervised ward.Supervision `json:"u,omitempty"`
	Managed    bool             `json:"m,omitempty"`
	State      compliance.State `json:"t"`
	Since      int64            `json:"i,omitempty"`
	Findings   []bodyFinding    `json:"f,omitempty"`
	Apps       []string         `json:"a,omitempty"`
	Approved   []bodyStanding   `json:"w,omitempty"`
	LastSeen   int64            `json:"l,omitempty"`
	Enrolled   int64            `json:"n,omitempty"`
	Told       int64            `json:"k,omitempty"`
}

type bodyFinding struct {
	State   compliance.State `json:"t"`
	Code    string           `json:"c"`
	Subject string           `json:"s,omitempty"`
	Text    string           `json:"x,omitempty"`
	Cure    string           `json:"h,omitempty"`
	Since   int64            `json:"i,omitempty"`
	Until   int64            `json:"u,omitempty"`
}

type bodyStanding struct {
	Bundle      string `json:"b"`
	Installed   bool   `json:"i,omitempty"`
	Certificate bool   `json:"c,omitempty"`
}

// encode writes a posture down. Words are what findings say of this device; without them
// they are left out, for history keeps what was the matter and nothing that a person wrote.
func encode(d *Device, e ward.EnrolmentID, words bool) (string, error) {
	b := body{
		Enrolment: e, Site: d.Site, Group: d.Group, Platform: d.Platform, OSVersion: d.OSVersion, Ownership: d.Ownership, Supervised: d.Supervised,
		Managed: d.Managed, State: d.State, Since: micros(d.Since), Apps: d.Apps, LastSeen: micros(d.LastSeen), Enrolled: micros(d.Enrolled), Told: micros(d.Told),
	}
	for _, f := range d.Findings {
		w := bodyFinding{State: f.State, Code: f.Code, Subject: f.Subject, Since: micros(f.Since), Until: micros(f.Until)}
		if text, cure := Words(f.Code, f.Subject); words && (text != f.Text || cure != f.Cure) {
			w.Text, w.Cure = f.Text, f.Cure
		}
		b.Findings = append(b.Findings, w)
	}
	for _, a := range d.Approved {
		b.Approved = append(b.Approved, bodyStanding(a))
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("posture of %s: %w", d.ID, err)
	}
	return string(raw), nil
}

// decode is the inverse of encode. The device has no name: that is of now.
func decode(id ward.DeviceID, text string) (Device, ward.EnrolmentID, error) {
	var b body
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return Device{}, "", fmt.Errorf("posture of %s: %w", id, err)
	}
	d := Device{
		ID: id, Site: b.Site, Group: b.Group, Platform: b.Platform, OSVersion: b.OSVersion, Ownership: b.Ownership, Supervised: b.Supervised,
		Managed: b.Managed, State: b.State, Since: fromMicros(b.Since), Apps: b.Apps, LastSeen: fromMicros(b.LastSeen), Enrolled: fromMicros(b.Enrolled), Told: fromMicros(b.Told),
	}
	if len(b.Findings) > 0 {
		d.Findings = make([]Finding, len(b.Findings))
	}
	for i, f := range b.Findings {
		if f.Text == "" {
			f.Text, f.Cure = Words(f.Code, f.Subject)
		}
		d.Findings[i] = Finding{State: f.State, Code: f.Code, Subject: f.Subject, Text: f.Text, Cure: f.Cure, Since: fromMicros(f.Since), Until: fromMicros(f.Until)}
	}
	if len(b.Approved) > 0 {
		d.Approved = make([]AppStanding, len(b.Approved))
	}
	for i, a := range b.Approved {
		d.Approved[i] = AppStanding(a)
	}
	return d, b.Enrolment, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
