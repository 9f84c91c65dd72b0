package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/posture"
)

// TestStory takes phones through what a phone meets: enrolment, the policy, the app and
// its certificate, loss and return, refusals, and the end of management.
func TestStory(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		s := &story{
			w:          w,
			supervised: w.phone(t, "S", func(o *virtual.Options) { o.Supervised = true }),
			corporate:  w.phone(t, "C", nil),
			personal:   w.phone(t, "P", func(o *virtual.Options) { o.ClientCertificate = true }),
			refusing:   w.phone(t, "R", func(o *virtual.Options) { o.Supervised, o.OSVersion = true, "15.8" }), // it knows no declarations
		}
		// Whether management has enough rights is the phone's to say: this one grants too
		// few for the policy, so that what it refuses shows.
		s.refusing.SetNotNow(func(requestType string) bool { return requestType == "InstallProfile" })
		for p, o := range map[*virtual.Phone]ward.Ownership{s.supervised: ward.Corporate, s.corporate: ward.Corporate, s.personal: ward.Personal, s.refusing: ward.Corporate} {
			w.enrol(t, p, o)
			w.on(t, p)
		}
		s.policy(t)
		s.app(t)
		s.notNow(t)
		s.errors(t)
		s.found(t)
		s.removed(t)
	})
}

type story struct {
	w                                         *world
	supervised, corporate, personal, refusing *virtual.Phone
	app1                                      *virtual.App
}

func (s *story) policy(t *testing.T) {
	t.Helper()
	if _, err := s.w.Policy.Publish(s.w.ctx, profiles.ExamplePolicy()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*virtual.Phone{s.supervised, s.corporate, s.personal} {
		await(t, p, "the messaging profile", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) })
	}
	if err := s.supervised.CanLaunch(whatsApp); !errors.Is(err, virtual.ErrBlocked) {
		t.Errorf("WhatsApp on a supervised phone: %v, want it blocked", err)
	}
	if err := s.corporate.CanLaunch(whatsApp); err != nil {
		t.Errorf("WhatsApp on an unsupervised phone: %v, want it to open, for Apple blocks it nowhere else", err)
	}
	for word, want := range map[string]ward.Supervision{s.supervised.Serial(): ward.Supervised, s.personal.Serial(): ward.Unsupervised} {
		eventually(t, "the supervision of "+word, func() bool { return s.w.show(t, word).Supervised == want })
	}
	eventually(t, "the finding of WhatsApp", func() bool {
		a := s.w.show(t, s.corporate.Serial()).Assessment
		return a.State == compliance.NonCompliant && slices.ContainsFunc(a.Findings, func(f compliance.Finding) bool { return f.Code == "blocked-app-present" })
	})
}

func (s *story) app(t *testing.T) {
	t.Helper()
	for _, p := range []*virtual.Phone{s.supervised, s.personal} {
		await(t, p, "the approved app", hasToken)
		app, err := p.Open(messenger)
		if err != nil {
			t.Fatal(err)
		}
		if err := app.Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
		me, err := app.Me(t.Context())
		if id := s.w.show(t, p.Serial()).Device.ID; err != nil || me.Device != string(id) || me.App != messenger {
			t.Errorf("Me() = %+v, %v; want %s of %s", me, err, messenger, id)
		}
		if err := app.Exchange(t.Context()); refusal(err) != http.StatusForbidden {
			t.Errorf("the token a second time: %v, want 403", err)
		}
		if p == s.supervised {
			s.app1 = app
		}
	}
	s.complies(t, s.supervised)
}

// complies waits until the server says that a phone complies.
func (s *story) complies(t *testing.T, p *virtual.Phone) {
	t.Helper()
	var d posture.Detail
	t.Cleanup(func() {
		if d.Assessment.State != compliance.Compliant {
			t.Logf("%s is %s: %+v; attempts %+v", d.Device.ID, d.Assessment.State, d.Assessment.Findings, d.View.Attempts)
		}
	})
	eventually(t, "the phone "+p.Serial()+" to comply", func() bool {
		d = s.w.show(t, p.Serial())
		return d.Device.State == ward.Managed && d.Assessment.State == compliance.Compliant
	})
}

func hasToken(p *virtual.Phone) bool {
	config, ok := p.ManagedConfig(messenger)
	return ok && config[virtual.ConfigToken] != nil && p.CanLaunch(messenger) == nil
}

// refusal returns the status of an app's refusal, 0 for anything else.
func refusal(err error) int {
	if e, ok := errors.AsType[*virtual.AppError](err); ok {
		return e.Status
	}
	return 0
}

// notNow: a phone that asks for a command later gets what is behind it, keeps the
// command in the queue, and gets it once it is ready.
func (s *story) notNow(t *testing.T) {
	t.Helper()
	await(t, s.refusing, "the app, which does not wait for the profile", hasToken)
	d := s.w.show(t, s.refusing.Serial())
	i := -1
	eventually(t, "an InstallProfile answered NotNow", func() bool { // each time it wakes it is given it again, and is between the two for a moment
		d = s.w.show(t, s.refusing.Serial())
		i = slices.IndexFunc(d.Commands, func(r command.Record) bool { return r.RequestType == "InstallProfile" })
		return i >= 0 && d.Commands[i].State == command.Deferred && !d.Commands[i].NotNow.IsZero()
	})
	s.refusing.SetNotNow(nil)
	if err := s.refusing.CheckIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, s.refusing, "the profile", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) })
	eventually(t, "the same command, accepted", func() bool {
		got, err := s.w.queue.Command(t.Context(), d.Commands[i].UUID, d.Enrolment.ID)
		return err == nil && got.State == command.Accepted
	})
}

// errors: what a phone refuses shows with the phone's own reason, and an erase that nobody
// ordered with Ward's.
func (s *story) errors(t *testing.T) {
	t.Helper()
	d := s.w.show(t, s.personal.Serial())
	send := func(uuid, requestType string, more map[string]any) {
		body := map[string]any{"RequestType": requestType}
		maps.Copy(body, more)
		raw := encode(t, map[string]any{"CommandUUID": uuid, "Command": body})
		if _, err := s.w.queue.Enqueue(s.w.ctx, command.New{UUID: uuid, Enrolment: d.Enrolment.ID, RequestType: requestType, Body: raw}); err != nil {
			t.Fatal(err)
		}
	}
	send("ERASE-BEHIND", "EraseDevice", nil)
	send("NO-RIGHT", "RestartDevice", nil)
	send("BROKEN", "Settings", map[string]any{"Settings": "not a list"})
	// Its type stands where no device looks for it.
	raw := encode(t, map[string]any{"CommandUUID": "NO-COMMAND", "Command": map[string]any{"Nothing": "Settings"}})
	if _, err := s.w.queue.Enqueue(s.w.ctx, command.New{UUID: "NO-COMMAND", Enrolment: d.Enrolment.ID, RequestType: "Settings", Body: raw}); err != nil {
		t.Fatal(err)
	}
	for uuid, want := range map[string]string{"ERASE-BEHIND": "nobody ordered it", "NO-RIGHT": "MCChaperoneErrorDomain 29000", "BROKEN": "MCMDMErrorDomain 12008", "NO-COMMAND": "CommandFormatError"} {
		state := command.Refused
		if uuid == "ERASE-BEHIND" {
			state = command.Withheld
		}
		eventually(t, "the refusal of "+uuid, func() bool {
			cs := s.w.show(t, s.personal.Serial()).Commands
			i := slices.IndexFunc(cs, func(r command.Record) bool { return r.UUID == uuid })
			return i >= 0 && cs[i].State == state && strings.Contains(cs[i].Error, want)
		})
	}
	if came := s.personal.Destructive(); len(came) > 0 {
		t.Errorf("a personal phone was given %+v", came)
	}
	if n := s.w.alarms(t, withheldAlarm); n != 1 {
		t.Errorf("%d lines in the log say that a command was withheld, want 1", n)
	}
	if st := s.w.show(t, s.personal.Serial()).Device.State; st != ward.Managed {
		t.Errorf("after a refused erase the device is %s, want managed", st)
	}
}

// found: a phone that comes back leaves lost mode, and its app gets a new token and a
// new certificate; the old one stays void.
func (s *story) found(t *testing.T) {
	t.Helper()
	p, id := s.supervised, s.w.show(t, s.supervised.Serial()).Device.ID
	old := s.app1.Certificate()
	cases, err := s.w.Lost.Report(s.w.ctx, lost.Report{Devices: []ward.DeviceID{id}, Note: "left on a bus"})
	if err != nil || len(cases) != 1 {
		t.Fatalf("Report() = %v, %v", cases, err)
	}
	if _, err := s.app1.InBackground(t.Context()); refusal(err) != http.StatusForbidden {
		t.Errorf("the app right after the report: %v, want 403", err)
	}
	await(t, p, "lost mode", func(p *virtual.Phone) bool { _, on := p.InLostMode(); return on })
	await(t, p, "being located", func(p *virtual.Phone) bool { return asked(p, "DeviceLocation") > 0 })
	eventually(t, "the location", func() bool {
		l, err := s.w.Lost.ViewLocation(s.w.ctx, cases[0].ID)
		return err == nil && l.Lat > 55 && l.Lat < 56
	})
	if n := asked(p, "DeviceLocation"); n != 1 {
		t.Errorf("it was located %d times, want once", n)
	}
	if _, err := s.w.Lost.Found(s.w.ctx, cases[0].ID, "handed in"); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the end of lost mode", func(p *virtual.Phone) bool { _, on := p.InLostMode(); return !on })
	p.Unlock()
	await(t, p, "a new token", func(p *virtual.Phone) bool { return hasToken(p) && !s.app1.TokenUsed() })
	if err := s.app1.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app1.Me(t.Context()); err != nil {
		t.Errorf("the app with its new certificate: %v", err)
	}
	if _, err := s.w.Authority.Check(t.Context(), old); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("the old certificate: %v, want it revoked", err)
	}
	s.complies(t, p)
	if n := asked(p, "EnableLostMode") + asked(p, "DisableLostMode"); n != 2 {
		t.Errorf("lost mode was switched %d times, want on and off", n)
	}
}

// removed: the user takes the management off. The work app goes, its certificate is
// void, and the device is said to be unenrolled.
func (s *story) removed(t *testing.T) {
	t.Helper()
	id := s.w.show(t, s.personal.Serial()).Device.ID
	if err := s.personal.RemoveManagement(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	own, _ := s.personal.AppInstalled(photos)
	work, _ := s.personal.AppInstalled(messenger)
	if !own || work {
		t.Errorf("own app there %v, work app there %v; want the own one only", own, work)
	}
	d := s.w.show(t, string(id))
	if d.Device.State != ward.Unenrolled || d.Enrolment.State != ward.EnrolmentEnded || d.Assessment.State != compliance.Retired {
		t.Errorf("device %s, enrolment %s, state %s; want unenrolled, ended, gone", d.Device.State, d.Enrolment.State, d.Assessment.State)
	}
	certs, err := s.w.db.Certificates().CertificatesOfDevice(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	apps := 0
	for _, c := range certs {
		if c.Kind == ca.KindApp {
			apps++
			if !c.Revoked() {
				t.Errorf("the app certificate %s is still valid", c.Serial)
			}
		}
	}
	if apps != 1 {
		t.Errorf("%d app certificates, want 1", apps)
	}
	open, err := s.w.queue.Open(t.Context(), d.Enrolment.ID)
	if err != nil || len(open) != 0 {
		t.Errorf("%d commands are open, %v; want none", len(open), err)
	}
}
