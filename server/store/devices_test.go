package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func aDevice(id, serial, name string) ward.Device {
	return ward.Device{
		ID: ward.DeviceID(id), Serial: serial, Name: name, Platform: ward.IOS, Ownership: ward.Corporate, Group: "g", Owner: "Ada", Email: "ada@hospital.example",
		State: ward.Invited, Created: time.Date(2026, 11, 21, 12, 0, 0, 7000, time.UTC),
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, ctx := db.Fleet(), t.Context()
		for _, d := range []ward.Device{aDevice("d1", "SN1", "Ward 7"), aDevice("d2", "SN2", "ward 7"), aDevice("d3", "", "SN1")} {
			if err := f.InsertDevice(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.InsertDevice(ctx, aDevice("d1", "", "")); ward.KindOf(err) != ward.Conflict {
			t.Errorf("an id used twice: %v, want a conflict", err)
		}
		d, err := f.Device(ctx, "d1")
		if diff := cmp.Diff(aDevice("d1", "SN1", "Ward 7"), d); err != nil || diff != "" {
			t.Errorf("Device() %v, mismatch (-want +got):\n%s", err, diff)
		}
		d.State, d.Group = ward.Managed, "h"
		if err := f.UpdateDevice(ctx, d); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Device(ctx, "d1"); err != nil || got.State != ward.Invited || got.Group != "h" {
			t.Errorf("UpdateDevice() left state %s, group %s, %v; want the state as it was", got.State, got.Group, err)
		}
		for _, tc := range []struct {
			word string
			want []ward.DeviceID
		}{{"d2", []ward.DeviceID{"d2"}}, {"SN2", []ward.DeviceID{"d2"}}, {"WARD 7", []ward.DeviceID{"d1", "d2"}}, {"SN1", []ward.DeviceID{"d1"}}, {"nothing", nil}} {
			found, err := f.FindDevice(ctx, tc.word)
			if err != nil {
				t.Fatal(err)
			}
			var ids []ward.DeviceID
			for _, d := range found {
				ids = append(ids, d.ID)
			}
			if diff := cmp.Diff(tc.want, ids); diff != "" {
				t.Errorf("FindDevice(%q) mismatch (-want +got):\n%s", tc.word, diff)
			}
		}
		if bs, err := f.DevicesBySerial(ctx, ""); err != nil || len(bs) != 0 {
			t.Errorf("%d devices have no serial number, %v; want none found", len(bs), err)
		}
		page, err := f.Devices(ctx, "d1", 1)
		if err != nil || len(page) != 1 || page[0].ID != "d2" {
			t.Errorf("the page after d1 = %+v, %v; want d2", page, err)
		}
		for name, err := range map[string]error{
			"Device": second(f.Device(ctx, "d9")), "UpdateDevice": f.UpdateDevice(ctx, aDevice("d9", "", "")), "SetDeviceState": f.SetDeviceState(ctx, "d9", ward.Lost),
			"DeleteDevice": f.DeleteDevice(ctx, "d9"), "SetReenrol": f.SetReenrol(ctx, "d9", true), "MayReenrol": second(f.MayReenrol(ctx, "d9")),
			"Enrolment": second(f.Enrolment(ctx, "e9")), "Latest": second(f.Latest(ctx, "U9")), "Current": second(f.Current(ctx, "d9")), "Contact": second(f.Contact(ctx, "h9")),
		} {
			if ward.KindOf(err) != ward.NotFound {
				t.Errorf("%s of what is not there = %v, want not found", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestDuePlans: a device is due at its time, or when a newer policy is out and it is
// within reach.
func TestDuePlans(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, ctx, at := db.Fleet(), t.Context(), time.Now().UTC().Truncate(time.Microsecond)
		for i, s := range []ward.DeviceState{ward.Invited, ward.Managed, ward.Lost, ward.Unenrolled, ward.Erased} {
			d := aDevice(fmt.Sprint("d", i), "", "")
			d.State = s
			if err := f.InsertDevice(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		due := func(at time.Time, generation int64, want ...ward.DeviceID) {
			t.Helper()
			got, err := f.DuePlans(ctx, at, generation, 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("DuePlans(%d) mismatch (-want +got):\n%s", generation, diff)
			}
		}
		due(at, 0)
		due(at, 1, "d1", "d2")
		if err := f.Planned(ctx, "d1", 1, at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		due(at, 1, "d2")
		due(at.Add(time.Hour), 0, "d1")
		if err := f.CheckSoon(ctx, "d1", at); err != nil {
			t.Fatal(err)
		}
		if err := f.CheckSoon(ctx, "d1", at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		due(at, 0, "d1")
	})
}

// TestContact: what one read at check-in tells of a device.
func TestContact(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, ctx := db.Fleet(), t.Context()
		p := enrolled(t, db)
		e, err := f.Latest(ctx, p.id)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Bind(ctx, "h1", p.id); err != nil {
			t.Fatal(err)
		}
		if c, err := f.Contact(ctx, "h1"); err != nil || c.ID != e.ID || c.Pending || c.State != ward.EnrolmentActive {
			t.Errorf("Contact() = %+v, %v; want the enrolment with nothing pending", c, err)
		}
		if _, err := db.Commands().Enqueue(ctx, command.New{UUID: "A", Enrolment: e.ID, RequestType: "ProfileList", Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if c, err := f.Contact(ctx, "h1"); err != nil || !c.Pending {
			t.Errorf("Contact() = %+v, %v; want something pending", c, err)
		}
		if err := f.Bind(ctx, "h2", p.id); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Contact(ctx, "h1"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("the certificate that another replaced: %v, want not found", err)
		}
		if channel, live, err := f.ChannelOf(ctx, "h1"); err != nil || channel != p.id || live {
			t.Errorf("ChannelOf() = %q, %v, %v; want the channel, no longer live", channel, live, err)
		}
		if err := f.Bind(ctx, "h2", "U2"); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("a certificate for a second channel: %v, want forbidden", err)
		}
		if err := f.EndEnrolment(ctx, e.ID, "over"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Contact(ctx, "h2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("the certificate of an ended enrolment: %v, want not found", err)
		}
		if open, err := db.Commands().Open(ctx, e.ID); err != nil || len(open) != 0 {
			t.Errorf("%d commands are open after the end, %v; want none", len(open), err)
		}
		if _, err := db.Commands().Enqueue(ctx, command.New{UUID: "B", Enrolment: e.ID, RequestType: "ProfileList", Body: []byte("x")}); ward.KindOf(err) != ward.NotFound {
			t.Errorf("a command for an ended enrolment: %v, want not found", err)
		}
		if e, err = f.Enrolment(ctx, e.ID); err != nil || e.State != ward.EnrolmentEnded || e.EndReason != "over" || e.Ended.IsZero() {
			t.Errorf("enrolment %+v, %v; want it ended", e, err)
		}
	})
}

// TestFacts: of each kind the last thing told is kept.
func TestFacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, at := db.Fleet(), time.Now().UTC().Truncate(time.Microsecond)
		for i, v := range []string{`{"a":1}`, `{"a":2}`} {
			if err := f.SetFact(t.Context(), "e1", fleet.Fact{Kind: fleet.Security, Value: []byte(v), Observed: at.Add(time.Duration(i) * time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.SetFact(t.Context(), "e1", fleet.Fact{Kind: fleet.Apps, Value: []byte(`[]`), Observed: at}); err != nil {
			t.Fatal(err)
		}
		got, err := f.Facts(t.Context(), "e1")
		want := []fleet.Fact{{Kind: fleet.Apps, Value: []byte(`[]`), Observed: at}, {Kind: fleet.Security, Value: []byte(`{"a":2}`), Observed: at.Add(time.Second)}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Facts() %v, mismatch (-want +got):\n%s", err, diff)
		}
	})
}
