package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
)

// TestEstateFollows: the present of all devices says of each what judging it says, whatever
// happened to it, and what passed is kept: also that a device turned unknown because it fell
// silent.
func TestEstateFollows(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		phones := map[ward.DeviceID]*virtual.Phone{}
		var ids []ward.DeviceID
		for _, name := range []string{"S", "C"} {
			p := w.phone(t, name, func(o *virtual.Options) { o.Supervised = name == "S" })
			id := w.enrol(t, p, ward.Corporate)
			w.agrees(t, id)
			ids, phones[id] = append(ids, id), p
		}
		if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
			t.Fatal(err)
		}
		for id, p := range phones {
			w.on(t, p)
			eventually(t, "the phone has told of itself", func() bool { return w.show(t, string(id)).View.Got.Apps != nil })
			w.agrees(t, id)
		}
		if _, err := w.Lost.Report(w.ctx, lost.Report{Devices: ids[:1]}); err != nil {
			t.Fatal(err)
		}
		if d, err := w.Estate.Device(w.ctx, ids[0]); err != nil || d.State != compliance.Lost {
			t.Errorf("reported lost, and at once it is %s, %v", d.State, err)
		}
		w.agrees(t, ids[0])
		inv := w.invite(t, ward.Corporate, nil)
		if d, err := w.Estate.Device(w.ctx, inv.Device); err != nil || d.State != compliance.Unknown || d.Findings[0].Code != "not-enrolled" {
			t.Errorf("invited, and at once it is %+v, %v", d, err)
		}
		w.api(t, ids)
	})
}

// TestEstateSilence: a device that falls silent turns unknown by the clock, and that is kept.
func TestEstateSilence(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "S", func(o *virtual.Options) { o.Supervised = true })
	id := w.enrol(t, p, ward.Corporate)
	eventually(t, "the phone has told of itself", func() bool {
		if err := p.CheckIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.show(t, string(id)).Assessment.State == compliance.Compliant
	})
	w.agrees(t, id)
	w.clock.forward(compliance.TooOld + time.Minute)
	w.PlanSoon()
	eventually(t, "it is unknown", func() bool {
		all, err := w.Estate.Changes(w.ctx, id, 0, 1)
		return err == nil && len(all) == 1 && all[0].Device.State == compliance.Unknown && all[0].Device.Has("not-seen", "")
	})
	w.agrees(t, id)
}

// agrees waits until the estate says of a device what judging it says.
func (w *world) agrees(t *testing.T, id ward.DeviceID) {
	t.Helper()
	var diff string
	eventually(t, "the estate agrees with the judgement of "+string(id), func() bool {
		d, err := w.Estate.Device(w.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		got, want := []string{string(d.State), d.Group, d.OSVersion}, []string{}
		for _, f := range d.Findings {
			got = append(got, string(f.State)+" "+f.Code+" "+f.Subject)
		}
		row := w.show(t, string(id)).Row
		want = append(want, string(row.Assessment.State), row.Device.Group, row.Device.OSVersion)
		for _, f := range row.Assessment.Findings {
			want = append(want, string(f.State)+" "+f.Code+" "+f.Subject)
		}
		slices.Sort(got[3:])
		slices.Sort(want[3:])
		diff = cmp.Diff(want, got)
		return diff == ""
	})
	if diff != "" {
		t.Errorf("estate mismatch (-judged +kept):\n%s", diff)
	}
}

// api asks the API for devices by what the estate knows.
func (w *world) api(t *testing.T, ids []ward.DeviceID) {
	t.Helper()
	list := func(q url.Values) (out []ward.DeviceID) {
		var v api.List[api.Device]
		if code := w.call(t, http.MethodGet, "/devices?"+q.Encode(), nil, &v); code != http.StatusOK {
			t.Fatalf("GET /devices?%s = %d", q.Encode(), code)
		}
		for _, d := range v.Items {
			out = append(out, d.ID)
		}
		return out
	}
	if got := list(url.Values{"state": {"lost"}}); !slices.Equal(got, ids[:1]) {
		t.Errorf("lost devices: %v, want %v", got, ids[:1])
	}
	if got := list(url.Values{"enrolled": {"true"}, "group": {"Ward 7", "elsewhere"}}); len(got) != 2 {
		t.Errorf("enrolled devices: %v, want %v", got, ids)
	}
	if got := list(nil); len(got) != 3 || !slices.IsSorted(got) {
		t.Errorf("devices: %v, want three in order", got)
	}
	var page api.List[api.Device]
	w.call(t, http.MethodGet, "/devices?limit=2", nil, &page)
	if rest := list(url.Values{"after": {page.Next}}); len(page.Items) != 2 || len(rest) != 1 || rest[0] <= page.Items[1].ID {
		t.Errorf("the second page has %v after %s", rest, page.Next)
	}
	var problem json.RawMessage
	if code := w.call(t, http.MethodGet, "/devices?os=newest", nil, &problem); code != http.StatusBadRequest || !strings.Contains(string(problem), "26.1") {
		t.Errorf("GET /devices?os=newest = %d, %s", code, problem)
	}
	var changes api.List[api.PostureChange]
	if code := w.call(t, http.MethodGet, "/devices/"+string(ids[0])+"/posture", nil, &changes); code != http.StatusOK || len(changes.Items) < 2 || changes.Items[0].State != compliance.Lost {
		t.Errorf("GET posture = %d, %+v; want its way to being lost", code, changes.Items)
	}
}
