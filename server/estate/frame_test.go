package estate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// many makes devices as they are in a large fleet, in the order of their ids.
func many(n int) []*Device {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]*Device, n)
	for i := range out {
		enrolled := noon.AddDate(-1, 0, 0).Add(time.Duration(i) * 300 * 24 * time.Hour / time.Duration(n)).Truncate(time.Second)
		d := &Device{
			ID: ward.DeviceID(devicePrefix + xid.NewWithTime(enrolled.Add(-time.Hour)).String()), Name: fmt.Sprintf("Phone %d", r.IntN(n)), Site: fmt.Sprintf("Site %d", r.IntN(6)), Group: fmt.Sprintf("Ward %d", r.IntN(200)), Platform: ward.IOS,
			OSVersion: []string{"18.6", "26.0", "26.1"}[r.IntN(3)], Ownership: ward.Corporate, Supervised: ward.Supervised, Managed: true,
			State: compliance.Compliant, Since: enrolled.Add(time.Duration(r.Int64N(int64(noon.Sub(enrolled))))).Truncate(time.Second),
			Enrolled: enrolled, Told: noon.Add(-time.Duration(r.Int64N(int64(24 * time.Hour)))).Truncate(time.Minute), LastSeen: noon.Add(-time.Duration(r.Int64N(int64(time.Hour)))).Truncate(time.Minute),
			Apps: []string{"signal"}, Approved: []AppStanding{{Bundle: "org.example.chat", Installed: true, Certificate: r.IntN(20) > 0}},
		}
		if r.IntN(10) == 0 {
			d.State = compliance.NonCompliant
			d.Findings = []Finding{{State: compliance.NonCompliant, Code: codeBlocked, Subject: "whatsapp", Since: d.Since}, {State: compliance.InGrace, Code: "no-passcode", Since: d.Since.Add(-time.Hour), Until: noon}}
			d.Apps = []string{"signal", "whatsapp"}
		}
		out[i] = d
	}
	byID(out)
	return out
}

// TestFrame: what is packed is read again as it was; ids that Ward did not give too.
func TestFrame(t *testing.T) {
	t.Parallel()
	ds := append(many(300), &Device{ID: "odd", State: compliance.Retired}, &Device{ID: "dev_not-an-xid", State: compliance.Unknown})
	byID(ds)
	f, err := newFrame(ds)
	if err != nil {
		t.Fatal(err)
	}
	body, err := f.pack()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = unpack(body); err != nil {
		t.Fatal(err)
	}
	got, err := f.devices()
	if err != nil {
		t.Fatal(err)
	}
	want := make([]Device, len(ds))
	have := make([]Device, len(got))
	for i, d := range ds {
		want[i] = *d
		want[i].Name = ""
		want[i].plain()
		have[i] = got[i].Device
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("devices of a frame mismatch (-want +got):\n%s", diff)
	}
	for i := 0; i < len(body); i += 1 + len(body)/50 { // damage is found, never a panic
		broken := body[:i]
		if f, err := unpack(broken); err == nil {
			if _, err := f.devices(); err == nil {
				t.Fatalf("a frame cut at byte %d of %d is read", i, len(body))
			}
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	ds := many(100_000)
	f, err := newFrame(ds)
	if err != nil {
		b.Fatal(err)
	}
	body, err := f.pack()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			f, err := newFrame(ds)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.pack(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(body)), "bytes")
		b.ReportMetric(float64(f.size()), "memory")
	})
	b.Run("unpack", func(b *testing.B) {
		for b.Loop() {
			if _, err := unpack(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("devices", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.devices(); err != nil {
				b.Fatal(err)
			}
		}
	})
	all, err := f.devices()
	if err != nil {
		b.Fatal(err)
	}
	present := dress(all, &Snapshot{Devices: ds}, noon)
	b.Run("dress", func(b *testing.B) {
		for b.Loop() {
			all := slices.Clone(all)
			if s := dress(all, present, noon); len(s.Devices) != len(all) {
				b.Fatal(len(s.Devices))
			}
		}
	})
	b.Run("days", func(b *testing.B) {
		for b.Loop() {
			if d := daysOf(ds, noon); d[Cut{}].Devices != len(ds) {
				b.Fatal(d[Cut{}])
			}
		}
	})
}
