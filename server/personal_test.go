package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
)

// wipes finds the words by which a platform has a device erase itself.
var wipes = regexp.MustCompile(`(?i)failed[ _]?(attempts|password)|wipe`)

// personal are the ways on which an erase, or the removal of a passcode, could come to a
// personal phone. Each fails the test if it finds the way open, and returns nil or the error
// that closes it, which has to be of the kind that is wanted.
var personal = []struct {
	path string
	want ward.Kind // "" where nothing is refused, and nothing is delivered
	try  func(a *administrator, v victim) error
}{
	{"an order by a person", ward.Forbidden, func(a *administrator, v victim) error {
		return a.refusedKinds(a.by[0].As(context.WithoutCancel(a.t.Context())), v)
	}},
	{"an order by a token", ward.Forbidden, func(a *administrator, v victim) error { return a.refusedKinds(a.ctx, v) }},
	{"an order by Ward", ward.Forbidden, func(a *administrator, v victim) error {
		return a.refusedKinds(ward.WithActor(a.ctx, ward.System), v)
	}},
	{"an order at the console", ward.Forbidden, func(a *administrator, v victim) error {
		return a.refusedKinds(ward.WithActor(a.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole}), v)
	}},
	{"an order that names another device too", ward.Forbidden, func(a *administrator, v victim) error {
		_, err := a.Orders.Request(a.ctx, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id, a.herd[3].id}, Reason: "test"})
		return err
	}},
	{"a campaign", ward.Forbidden, func(a *administrator, v victim) error {
		c := &order.Campaign{Start: a.now().Add(25 * time.Hour), PerHour: 10}
		_, err := a.Orders.Request(a.ctx, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}, Reason: "test", Options: order.Options{Campaign: c}})
		return err
	}},
	{"a drill", ward.Forbidden, func(a *administrator, v victim) error {
		_, err := a.Orders.Request(a.ctx, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}, Reason: "test", Options: order.Options{Drill: true}})
		return err
	}},
	{"the API, and by it the command line", ward.Forbidden, func(a *administrator, v victim) error {
		for path, body := range map[string]string{
			"/devices/" + string(v.id) + "/wipe": `{"reason":"test"}`,
			"/orders":                            `{"kind":"clear_passcode","devices":["` + string(v.id) + `"],"reason":"test"}`,
		} {
			if status, answer := a.asks(a.people, http.MethodPost, "/api/v1"+path, "application/json", []byte(body)); status != http.StatusForbidden {
				return fmt.Errorf("%s was answered %d %s", path, status, answer)
			}
		}
		return ward.Errorf(ward.Forbidden, "refused")
	}},
	{"a raw command", ward.Forbidden, func(a *administrator, v victim) error {
		for _, kind := range []string{"EraseDevice", "ClearPasscode", "ClearRestrictionsPassword"} {
			if status, answer := a.asks(a.people, http.MethodPut, "/api/v1/enqueue/"+v.UDID(), "application/xml", naked(a.t, "RAW", kind)); status != http.StatusForbidden {
				return fmt.Errorf("%s was answered %d %s", kind, status, answer)
			}
		}
		return ward.Errorf(ward.Forbidden, "refused")
	}},
	{"a page", ward.Forbidden, func(a *administrator, v victim) error {
		before := len(a.ids("orders"))
		for _, k := range []order.Kind{order.Erase, order.ClearPasscode} {
			status, body := a.posts(a.pages, "/orders/new", url.Values{"kind": {string(k)}, "devices": {string(v.id)}, "note": {"test"}, "step": {"ask"}, "keep_plan": {"yes"}})
			if status == http.StatusSeeOther || len(a.ids("orders")) != before {
				return fmt.Errorf("the page answered %d %s", status, body)
			}
		}
		return ward.Errorf(ward.Forbidden, "refused")
	}},
	{"the queue, past the orders", "", func(a *administrator, v victim) error {
		for _, kind := range []string{"EraseDevice", "ClearPasscode", "ClearRestrictionsPassword", "SetRecoveryLock"} {
			if _, err := a.queue.Enqueue(a.ctx, command.New{UUID: kind, Enrolment: v.e.ID, RequestType: kind, Body: naked(a.t, kind, kind)}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a profile in the queue by which it erases itself", "", func(a *administrator, v victim) error {
		profile := encode(a.t, map[string]any{"PayloadType": "Configuration", "PayloadIdentifier": "org.wardmdm.policy.x", "PayloadUUID": "X", "PayloadVersion": 1, "PayloadContent": []any{
			map[string]any{"PayloadType": "com.apple.mobiledevice.passwordpolicy", "PayloadIdentifier": "x", "PayloadUUID": "Y", "PayloadVersion": 1, "maxFailedAttempts": 2},
		}})
		raw := encode(a.t, map[string]any{"CommandUUID": "SELF", "Command": map[string]any{"RequestType": "InstallProfile", "Payload": profile}})
		_, err := a.queue.Enqueue(a.ctx, command.New{UUID: "SELF", Enrolment: v.e.ID, RequestType: "InstallProfile", Body: raw})
		return err
	}},
	{"a policy with a passcode that erases", ward.Invalid, func(a *administrator, _ victim) error {
		for _, p := range []string{"posture: {passcode: {maximum_failed_attempts: 4}}", "hardening: {wipe_after_failed_attempts: 4}", "posture: {passcode: {wipe_after: 4}}"} {
			if _, err := a.Policy.Publish(a.ctx, []byte("name: P\n"+p+"\n")); ward.KindOf(err) != ward.Invalid {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
		return ward.Errorf(ward.Invalid, "refused")
	}},
	{"a profile of the organisation's own that erases", ward.Invalid, func(a *administrator, _ victim) error {
		own := `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
			<key>PayloadIdentifier</key><string>org.example.own</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-111111111111</string><key>PayloadContent</key><array><dict>
			<key>PayloadType</key><string>com.apple.mobiledevice.passwordpolicy</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>org.example.own.1</string>
			<key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-222222222222</string><key>maxFailedAttempts</key><integer>2</integer></dict></array></dict></plist>`
		text := "name: P\ngroups: [{name: g, match: {ownership: personal}, profiles: [{name: P, platform: ios, file: own.mobileconfig}]}]\n"
		_, err := a.Policy.Submit(a.ctx, policy.Draft{Text: []byte(text), Files: map[string][]byte{"own.mobileconfig": []byte(own)}})
		if err != nil && !strings.Contains(err.Error(), "erase itself") {
			return fmt.Errorf("it was refused for another reason: %w", err)
		}
		return err
	}},
	{"what the policies come to on Android and on workstations", "", func(a *administrator, _ victim) error {
		p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
		if err != nil {
			return err
		}
		for _, platform := range []ward.Platform{ward.Android, ward.Windows, ward.Linux, ward.MacOS, ward.IOS} {
			for _, c := range []*profiles.Case{nil, {ID: "c", Kind: profiles.CaseStolen, Reported: a.now()}} {
				s := profiles.Subject{Device: ward.Device{Platform: platform, OSVersion: "15", Ownership: ward.Personal}, Rights: ward.RightsPersonal, Case: c}
				var all []byte
				for _, x := range p.Artifacts(s, a.now()) {
					all = append(all, x.Data...)
				}
				st := profiles.Desired(s, p, a.now())
				for _, x := range st.Profiles {
					all = append(all, x.Payload...)
				}
				for _, x := range st.Declarations {
					all = slices.Concat(all, x.Payload, x.Bare)
				}
				if found := wipes.Find(bytes.ToLower(all)); found != nil {
					return fmt.Errorf("for %s it holds %q", platform, found)
				}
			}
		}
		return nil
	}},
	{"a row written into the queue", "", func(a *administrator, v victim) error {
		for _, kind := range []string{"EraseDevice", "ClearPasscode"} {
			a.x.queue("ROW-"+kind, v.e.ID, kind, naked(a.t, "ROW-"+kind, kind), "", "")
		}
		return nil
	}},
	{"a device called the organisation's by SQL", ward.Forbidden, func(a *administrator, v victim) error {
		a.x.do(`UPDATE device SET ownership = 'corporate' WHERE id = $1`, string(v.id))
		_, err := a.Orders.Request(a.ctx, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}, Reason: "test"})
		a.x.do(`UPDATE device SET ownership = 'personal' WHERE id = $1`, string(v.id))
		return err
	}},
	{"an order for the organisation's phone that became personal", "", func(a *administrator, _ victim) error {
		v := a.herd[11] // of the organisation
		o := a.orders(a.t, a.by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}})
		if err := v.RemoveManagement(context.WithoutCancel(a.t.Context())); err != nil {
			return err
		}
		inv := a.invite(a.t, ward.Personal, nil)
		if err := v.Enrol(a.t.Context(), a.InviteURL(inv.Token)); err != nil {
			return err
		}
		a.cools(a.t)
		a.connects(v)
		if o, err := a.Orders.Order(a.ctx, o.ID); err != nil || o.Targets[0].Outcome != order.Superseded {
			return fmt.Errorf("the order came to %q, %w", o.Targets[0].Outcome, err)
		}
		return nil
	}},
	{"a command that waits for a phone that became personal", "", func(a *administrator, _ victim) error {
		v := a.herd[10] // of the organisation
		o := a.signed(order.Erase, v)
		a.x.do(`UPDATE device SET ownership = 'personal' WHERE id = $1`, string(v.id))
		a.connects(v)
		if o, err := a.Orders.Order(a.ctx, o.ID); err != nil || o.Targets[0].Outcome != order.Withheld {
			return fmt.Errorf("the order came to %q, %w", o.Targets[0].Outcome, err)
		}
		return nil
	}},
	{"the job that proposes an erase for a case", "", func(a *administrator, v victim) error {
		if _, err := a.Lost.Report(a.ctx, lost.Report{Devices: []ward.DeviceID{v.id}, Kind: lost.Stolen}); err != nil {
			return err
		}
		a.clock.forward(30 * time.Hour)
		if err := a.Lost.Escalate(ward.WithActor(a.ctx, ward.System)); err != nil {
			return err
		}
		all, err := a.Orders.List(a.ctx, order.Filter{Device: v.id})
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("%d orders were proposed", len(all))
		}
		if err == nil && a.entries(a.t, lost.ActionNotProposed) == 0 {
			err = errors.New("the job did not look at it: this proves nothing")
		}
		return err
	}},
}

// refusedKinds asks for every deed that a personal phone is spared, and returns the last
// refusal.
func (a *administrator) refusedKinds(ctx context.Context, v victim) (err error) {
	a.t.Helper()
	for _, k := range []order.Kind{order.LockPIN, order.ClearPasscode, order.Erase} {
		if _, err = a.Orders.Request(ctx, order.Request{Kind: k, Devices: []ward.DeviceID{v.id}, Reason: "test"}); ward.KindOf(err) != ward.Forbidden {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	return err
}

// TestPersonalNever: on no path does an erase, the removal of a passcode or a profile that
// erases come to a phone that is somebody's own.
func TestPersonalNever(t *testing.T) {
	both(t, func(t *testing.T, dbURL string) {
		a := newAdministrator(t, dbURL, 14)
		a.x = a.intruder(t)
		phones := slices.DeleteFunc(slices.Clone(a.herd), func(v victim) bool {
			d, err := a.fleet.Device(t.Context(), v.id)
			return err != nil || d.Ownership != ward.Personal
		})
		if len(phones) < 3 {
			t.Fatalf("only %d phones are personal", len(phones))
		}
		given := map[string][]string{}
		for i, p := range personal {
			v := phones[i%len(phones)]
			if err := p.try(a, v); ward.KindOf(err) != p.want || p.want == "" && err != nil {
				t.Errorf("%s: %v, want %q", p.path, err, p.want)
			}
			if _, err := a.Orders.Advance(a.ctx); err != nil {
				t.Fatal(err)
			}
			a.all()
			for _, v := range a.herd {
				for _, d := range v.Destructive() {
					if d.RequestType != "RemoveProfile" {
						given[v.Serial()+" was given "+d.RequestType+" "+d.UUID] = append(given[v.Serial()+" was given "+d.RequestType+" "+d.UUID], p.path)
					}
				}
			}
		}
		for what, since := range given {
			t.Errorf("%s by the path: %s", what, since[0])
		}
		a.alarms(t, withheldAlarm, strangerAlarm)
		t.Logf("%d paths, %d personal phones", len(personal), len(phones))
	})
}
