package applemdm

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestInstallProfileBinds: a profile is installed as it was bound for the device, and not
// at all when it can't be.
func TestInstallProfileBinds(t *testing.T) {
	t.Parallel()
	tokens := 0
	c := compiler(&tokens)
	c.Bind = func(_ context.Context, d ward.Device, e ward.Enrolment, raw []byte) ([]byte, error) {
		return []byte(string(raw) + " of " + string(d.ID) + " " + string(e.ID)), nil
	}
	s := reconcile.Step{Deed: reconcile.InstallProfile, Profile: &profiles.Profile{Identifier: "p", Payload: []byte("<plist/>")}}
	_, body, err := c.Compile(t.Context(), s, device, enrol, "UUID-1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := agent.ParseCommand(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"RequestType": "InstallProfile", "Payload": []byte("<plist/> of d1 e1")}, got.Payload); diff != "" {
		t.Errorf("Compile(InstallProfile) mismatch (-want +got):\n%s", diff)
	}
	if string(s.Profile.Payload) != "<plist/>" {
		t.Errorf("the profile of the class became %q", s.Profile.Payload)
	}
	boom := errors.New("boom")
	c.Bind = func(context.Context, ward.Device, ward.Enrolment, []byte) ([]byte, error) { return nil, boom }
	if _, body, err := c.Compile(t.Context(), s, device, enrol, "UUID-2"); !errors.Is(err, boom) || body != nil {
		t.Errorf("without its values: %q, %v; want %v", body, err, boom)
	}
}
